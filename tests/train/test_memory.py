import platform
import subprocess
import sys

import pytest

PAGE_FAULTS_OF_LATER_STEPS = """
import resource, sys, torch
from kikibouba.train.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()

def step():
    return torch.zeros(16 << 18), torch.zeros(64 << 18), torch.zeros(40 << 18)

for _ in range(6):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_memory_is_used_again():
    def faults(mode: str) -> int:
        command = [sys.executable, "-c", PAGE_FAULTS_OF_LATER_STEPS, mode]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert 10 * faults("keep") < faults("default")  # a step takes 120 MiB, 30 thousand pages of 4 KiB
