"""The examples of the studio's page, from the files in `examples`: drawings as whole numbers in a square
of 1000, tunes as (pitch, start, length) in sixteenths.

    python runs/make_studio_examples.py > src/kikibouba/web/static/examples.json
"""

import json
from pathlib import Path

import numpy as np

from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.strokes import bounds, fit_to_box, simplify, to_lines
from kikibouba.data.svg import read_svg
from kikibouba.inputs import read_examples

EXAMPLES = Path(__file__).parents[1] / "examples"
DRAWINGS = (
    "circle", "zigzag", "sheep", "hedgehog", "cloud", "star", "spiral", "lightning", "cat", "flower", "fish",
    "wave", "house",
)  # fmt: skip
TUNES = ("river", "hedgehog", "lullaby", "bouncing_ball", "stars", "morning_walk")
SIDE, DRAWN = 1000, 760
"""The board, and the larger side of an example on it."""
STEP = 0.125


def drawing(name: str) -> list[list[list[int]]]:
    """Strokes as [[x, …], [y, …]], in the middle of the board."""
    strokes = simplify(fit_to_box(read_svg(EXAMPLES / f"{name}.svg"), DRAWN), 2.5)
    left, top, right, bottom = bounds(strokes)
    middle = np.array([left + right, top + bottom]) / 2
    return [np.rint(line - middle + SIDE / 2).astype(int).T.tolist() for line in to_lines(strokes)]


def tune(name: str) -> list[list[int]]:
    """The first two bars, as a melody's model sees them."""
    melody = MelodyRepresentation()
    notes = melody.to_artifact(read_examples(EXAMPLES / f"{name}.mid", melody)[0]).notes.notes
    starts, ends = np.rint(notes["start"] / STEP), np.rint(notes["end"] / STEP)
    return np.stack([notes["pitch"], starts, ends - starts], 1).astype(int).tolist()


def main() -> None:
    content = {
        "drawings": [{"name": name, "drawing": drawing(name)} for name in DRAWINGS],
        "tunes": [{"name": name.replace("_", " "), "notes": tune(name)} for name in TUNES],
    }
    print(json.dumps(content, separators=(",", ":")))


if __name__ == "__main__":
    main()
