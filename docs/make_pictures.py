"""Draw the pictures of the docs with the program itself: `make docs` runs this.

python docs/make_pictures.py
"""

from pathlib import Path

import kikibouba as kb
from kikibouba.data.artifacts import Drawing
from kikibouba.data.picture import rows_picture

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
DRAWINGS = ("circle", "cloud", "sheep", "star", "zigzag")


def translations() -> bytes:
    """Drawings, from round to spiky, above the tunes they become."""
    drawings = [Drawing(kb.read_svg(EXAMPLES / f"{name}.svg")) for name in DRAWINGS]
    tunes = [kb.translate(drawing, to="melody", seed=0) for drawing in drawings]
    return rows_picture([drawings, tunes], ["drawn", "heard"], DRAWINGS)


def main() -> None:
    path = DOCS / "img" / "translations.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(translations())
    print(path)


if __name__ == "__main__":
    main()
