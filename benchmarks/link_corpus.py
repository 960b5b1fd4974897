"""A folder of many MIDI files, made of hard links to a few."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def link_corpus(folders: Sequence[Path], corpus: Path, count: int) -> None:
    """`count` files under `corpus`, in folders of 1000, linked to the MIDI files of the folders in turn.

    Each link has a name of its own. On another disk, where links cannot be made, files are copied.
    """
    files = sorted(file for folder in folders for file in folder.rglob("*.mid"))
    for i, file in enumerate(islice(cycle(files), count)):
        target = corpus / f"{i // 1000:03d}" / f"{hashlib.md5(str(i).encode()).hexdigest()}.mid"
        if i % 1000 == 0:
            target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            try:
                os.link(file, target)
            except OSError:
                shutil.copy(file, target)
