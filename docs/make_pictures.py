"""Draw the pictures of the docs with the program itself: `make docs` runs this.

python docs/make_pictures.py
"""

from pathlib import Path

import kikibouba as kb
from kikibouba.constraining import load_constraints
from kikibouba.data.artifacts import Drawing, Tune
from kikibouba.data.picture import rows_picture
from kikibouba.plot import plot_sliders

DOCS = Path(__file__).parent
EXAMPLES = DOCS.parent / "examples"
DRAWINGS = ("circle", "spiral", "sheep", "house", "hedgehog")
TUNES = ("lullaby", "river", "morning_walk", "stars", "hedgehog")


def translations() -> bytes:
    """Drawings, from round to spiky, above the tunes they become."""
    drawings = [Drawing(kb.read_svg(EXAMPLES / f"{name}.svg")) for name in DRAWINGS]
    tunes = [kb.translate(drawing, to="melody", seed=0) for drawing in drawings]
    titles = [
        f"{name}\nangularity {angularity(drawing):.1f} → jaggedness {jaggedness(tune):.2f}"
        for name, drawing, tune in zip(DRAWINGS, drawings, tunes, strict=True)
    ]
    return rows_picture([drawings, tunes], ["drawn", "heard"], titles)


def answers() -> bytes:
    """Tunes above the drawings they become."""
    tunes = [Tune(kb.read_midi(EXAMPLES / f"{name}.mid")) for name in TUNES]
    drawings = [kb.translate(tune, to="sketch", seed=0) for tune in tunes]
    return rows_picture([tunes, drawings], ["heard", "drawn"], TUNES)


def sliders() -> bytes:
    """What the latents of a model that has learnt one song do."""
    return plot_sliders(kb.personalize("mel_2bar", EXAMPLES / "morning_walk.mid"))


def constraints() -> bytes:
    """A tune, a beat and a drawing, and what becomes of them when less and more of something is asked for."""
    wishes = (("river.mid", "density"), ("drums_offbeat.mid", "brightness"), ("fish.svg", "angularity"))
    rows = []
    for name, attribute in wishes:
        model = load_constraints(source=EXAMPLES / name)
        asked = [
            kb.constrain(model, EXAMPLES / name, {attribute: level})[0] for level in ("low", "mid", "high")
        ]
        rows.append([kb.load(model.preset.model.base).reconstruct(EXAMPLES / name), *asked])
    return rows_picture(rows, [wish for _, wish in wishes], ["as it is", "low", "mid", "high"])


def angularity(drawing: Drawing) -> float:
    """How spiky a drawing is: 0 for a circle."""
    sketch = kb.SketchRepresentation()
    return float(sketch.attributes(sketch.windows(drawing.strokes))["angularity"][0])


def jaggedness(tune: Tune) -> float:
    """How jagged a tune is, between 0 and 1."""
    melody = kb.MelodyRepresentation()
    return float(melody.attributes(melody.windows(tune.notes))["jaggedness"][0])


def main() -> None:
    (DOCS / "img").mkdir(exist_ok=True)
    for name, picture in (
        ("translations", translations),
        ("answers", answers),
        ("sliders", sliders),
        ("constraints", constraints),
    ):
        path = DOCS / "img" / f"{name}.png"
        path.write_bytes(picture())
        print(path)


if __name__ == "__main__":
    main()
