"""Drawings become tunes: a round one, a spiky one, and a sheep.

python examples/01_draw_to_hear.py [OUT_FOLDER]
"""

import sys
from pathlib import Path

import kikibouba as kb

drawings = Path(__file__).parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

for name in ("circle", "zigzag", "sheep"):
    tune = kb.translate(drawings / f"{name}.svg", to="melody", seed=0)
    for suffix in (".mid", ".wav", ".png"):
        print(tune.save(out / f"{name}{suffix}"))
