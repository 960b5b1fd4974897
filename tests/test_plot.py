"""Pictures: each is a PNG that shows what it should."""

import json
from pathlib import Path

import numpy as np
import pytest

from kikibouba import hub, plot
from kikibouba.data.prepare import prepare
from kikibouba.errors import KikiboubaError
from tiny_models import make_weights

EXAMPLES = Path(__file__).parents[1] / "examples"
SHEEP, CIRCLE, RIVER = (EXAMPLES / name for name in ("sheep.svg", "circle.svg", "river.mid"))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return make_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(autouse=True)
def bundled(monkeypatch, weights):
    monkeypatch.setattr(hub, "WEIGHTS", weights)


def pixels(png):
    """A PNG as [height, width, 3] floats 0..1."""
    import io

    from matplotlib.image import imread

    assert png.startswith(b"\x89PNG")
    return imread(io.BytesIO(png))[..., :3]


def ink(png):
    return float((pixels(png).min(axis=-1) < 0.9).mean())


def test_files_side_by_side():
    one, two = plot.plot_files([SHEEP]), plot.plot_files([SHEEP, RIVER])
    assert pixels(two).shape[1] > pixels(one).shape[1]
    assert ink(two) > 0.01


def test_reconstructions_have_two_rows():
    model = hub.load("sketch")
    picture = pixels(plot.plot_reconstructions(model, [SHEEP, CIRCLE]))
    top, bottom = np.array_split(picture, 2)
    assert (top < 0.9).any()
    assert (bottom < 0.9).any()


def test_interpolation_has_a_column_a_step():
    model = hub.load("sketch")
    widths = [pixels(plot.plot_interpolation(model, SHEEP, CIRCLE, n)).shape[1] for n in (2, 5)]
    assert widths[1] > 2 * widths[0]


def write_log(folder, values):
    folder.mkdir()
    lines = [
        {"step": i, "split": split, "loss": v} for i, v in enumerate(values) for split in ("train", "valid")
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"torn', encoding="utf-8")
    return folder


def test_curves(tmp_path):
    run, other = write_log(tmp_path / "a", [3.0, 2.0, 1.0]), write_log(tmp_path / "b", [1.0, 2.0, 3.0])
    assert ink(plot.plot_curves([run, other])) > ink(plot.plot_curves([run]))
    with pytest.raises(KikiboubaError, match="did you mean 'loss'"):
        plot.plot_curves([run], "los")
    with pytest.raises(KikiboubaError, match=r"log\.jsonl"):
        plot.plot_curves([tmp_path])


def test_latent_map(tmp_path):
    model = hub.load("mel_2bar")
    dataset = prepare(
        model.representation, EXAMPLES, tmp_path / "d", workers=1, progress=False, fractions=(1, 0, 0)
    )
    colours = pixels(plot.plot_latent_map(model, dataset, "density", "train"))
    assert (colours.max(axis=-1) - colours.min(axis=-1)).max() > 0.3
    with pytest.raises(KikiboubaError, match="did you mean 'density'"):
        plot.plot_latent_map(model, dataset, "densty", "train")
    with pytest.raises(KikiboubaError, match="3 or more"):
        plot.plot_latent_map(model, dataset, split="train", limit=2)


def test_principal_components_of_a_known_cloud():
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((500, 3)) * [5.0, 2.0, 0.0]
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    points, shares = plot.principal_components(spread @ rotation.T + 7.0)
    assert shares == pytest.approx(spread.var(axis=0)[:2] / spread.var(axis=0).sum(), abs=0.02)
    assert abs(np.corrcoef(points[:, 0], spread[:, 0])[0, 1]) > 0.99
    assert points.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
