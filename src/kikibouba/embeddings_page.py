"""The listening page of an Embedding RNN: one HTML file with players and pictures in it."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from kikibouba.data.files import write_bytes, write_text
from kikibouba.embeddings import MIXES, EmbeddingModel
from kikibouba.embeddings_plot import Study, box_plot, errors_of, figures, study
from kikibouba.errors import KikiboubaError

CAPTIONS = {
    "fig1a": "Notes",
    "fig1b": "Their reconstructions",
    "fig2": "As they are, as the model sees them, as it rebuilds them, and the difference",
    "fig3": "Mixtures of the first note and its reconstruction, and their distance to the note",
    "fig4": "Reconstructions, and their distance to the notes",
    "fig5": "Paths in the plane of the notes' two principal components",
    "fig6": "Squared errors, by experiment",
}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse } th, td { padding: .3rem .5rem; text-align: left; font-weight: normal }
thead th { border-bottom: 1px solid #999 } audio { width: 11rem }
img { max-width: 100% } figure { margin: 2rem 0 } .wide { overflow-x: auto }
"""


def analyse(
    models: Sequence[EmbeddingModel],
    data: str | Path,
    out: str | Path,
    *,
    split: str = "test",
    n: int = 6,
    samples: int = 4,
    seed: int = 0,
) -> list[Path]:
    """Figures and listening page of a run, beside the errors of others.

    Args:
        models: the one that is looked at, and any others for the box plot.
        data: a dataset that suits all of them.
        out: a folder, which gets fig1a.png … fig6.png and listen.html; or the .html alone.
        split: of the dataset.
        n: notes.
        samples: new notes on the page.
        seed: of what is sampled.

    Returns:
        The files written.

    Raises:
        KikiboubaError: a dataset that does not suit a model, fewer than two notes, frames that nobody can
            say.
    """
    out, model = Path(out), models[0]
    if out.suffix.lower() not in ("", ".html"):
        raise KikiboubaError(f"cannot write {out}: name a folder, or a page (.html)")
    if n < 2:
        raise KikiboubaError(f"{n} notes are too few: the pictures compare two or more")
    found, errors = study(model, data, split, n, seed), errors_of(models, data, split)
    pictures = figures(found) | {"fig6": box_plot(errors)}
    page = listening_page(model, found, pictures, errors, samples, seed)
    if out.suffix:
        return [write_text(out, page)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise KikiboubaError(f"cannot make the folder {out}: {error.strerror}") from None
    written = [write_bytes(out / f"{name}.png", png) for name, png in pictures.items()]
    return [*written, write_text(out / "listen.html", page)]


def listening_page(
    model: EmbeddingModel,
    found: Study,
    pictures: Mapping[str, bytes],
    errors: Mapping[str, np.ndarray],
    samples: int = 4,
    seed: int = 0,
) -> str:
    """The page as HTML: notes, reconstructions and mixtures to compare, new notes, pictures, errors."""
    heads = ["note", "as recorded in frames", "rebuilt", *(f"{share:g} of the note" for share in MIXES)]
    rows = []
    for name, original, again in zip(found.names, found.originals, found.rebuilt, strict=True):
        shares = (1.0, 0.0, *MIXES)
        mixed = [share * original + (1 - share) * again for share in shares]
        labels = ["as it is", "rebuilt", *heads[3:]]
        players = [_player(model, one, f"{name}, {label}") for one, label in zip(mixed, labels, strict=True)]
        rows.append([escape(name), *players])
    fresh = model.sample(samples, seed=seed) if samples else []
    drawn = [_player(model, one.frames, f"sample {k + 1}") for k, one in enumerate(fresh)]  # type: ignore
    medians = [
        [escape(name), f"{np.median(values):.4g}", f"{np.mean(values):.4g}", str(len(values))]
        for name, values in sorted(errors.items(), key=lambda pair: float(np.median(pair[1])))
    ]
    shown = "\n".join(_figure(name, png) for name, png in pictures.items())
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(model.name)}: listen</title><style>{STYLE}</style></head><body>
<h1>{escape(model.name)}</h1>
<p>{escape(model.preset.description)}. Held-out notes through z and back, told their own pitch;
mixtures are made frame by frame.</p>
<div class="wide">{_table(heads, rows)}</div>
<h2>New notes</h2><p>{" ".join(drawn) or "none"}</p>
<h2>Errors</h2>{_table(["experiment", "median of squared errors", "mean", "notes"], medians)}
{shown}
</body></html>
"""


def _player(model: EmbeddingModel, frames: np.ndarray, label: str) -> str:
    wav = base64.b64encode(model.to_artifact(frames).sound.to_wav()).decode()
    source = f"data:audio/wav;base64,{wav}"
    return f'<audio controls preload="none" aria-label="{escape(label)}" src="{source}"></audio>'


def _figure(name: str, png: bytes) -> str:
    caption = CAPTIONS[name]
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return f'<figure><img alt="{caption}" src="{source}"><figcaption>{name}: {caption}</figcaption></figure>'


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table; cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
