"""A morph: from a smooth melody to a jagged one in seven steps, through the space the model has learnt.

python examples/03_interpolate.py [OUT_FOLDER]
"""

import sys
from pathlib import Path

import kikibouba as kb

tunes = Path(__file__).parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

model = kb.load("mel_2bar")
steps = model.interpolate(tunes / "river.mid", tunes / "hedgehog.mid", 7, mode="slerp", seed=0)
for number, tune in enumerate(steps):
    print(tune.save(out / f"morph_{number}.mid"))
