"""Tunes and beats become drawings, and a tune becomes a beat.

python examples/04_hear_to_draw.py [OUT_FOLDER]
"""

import sys
from pathlib import Path

import kikibouba as kb

tunes = Path(__file__).parent
out = Path(sys.argv[1] if len(sys.argv) > 1 else "out")
out.mkdir(parents=True, exist_ok=True)

for name in ("lullaby", "hedgehog", "drums_storm"):
    drawing = kb.translate(tunes / f"{name}.mid", to="sketch", seed=0)
    print(drawing.save(out / f"{name}.svg"))

beat = kb.translate(tunes / "morning_walk.mid", to="drums", seed=0)
print(beat.save(out / "morning_walk_beat.mid"))
