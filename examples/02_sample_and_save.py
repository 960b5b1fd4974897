"""Each model by itself: make new melodies, beats and drawings, and save them.

    python examples/02_sample_and_save.py [OUT_FOLDER]

The temperature says how far to stray from the likeliest: near 0 is safe, 1 is what the model learnt.
"""

import sys
from pathlib import Path

import kikibouba as kb

out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

for name, suffix in (("mel_2bar", ".mid"), ("drums_2bar", ".mid"), ("sketch", ".svg")):
    model = kb.load(name)
    for number, artifact in enumerate(model.sample(2, temperature=0.5, seed=1), start=1):
        print(artifact.save(out / f"{name}_{number}{suffix}"))
