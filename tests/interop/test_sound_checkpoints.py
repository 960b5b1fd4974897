"""NSynth's variables and music-translation's .pth files: the weights arrive where they belong."""

import numpy as np
import pytest
import torch

from interop.checkpoints import write_pth, write_tf_checkpoint
from interop.small_models import translation_module
from kikibouba.errors import KikiboubaError
from kikibouba.importing import import_checkpoint, import_to
from kikibouba.train.checkpoint import load_checkpoint

RNG = np.random.default_rng(0)
LATENT, ENCODER, RESIDUAL, SKIP, LAYERS, HOP = 3, 4, 5, 6, 10, 512


def nsynth_variables() -> dict[str, np.ndarray]:
    """By the original's names, W [1, K, in, out], small."""
    shapes = {
        "ae_startconv": (3, 1, ENCODER),
        "ae_bottleneck": (1, ENCODER, LATENT),
        "startconv": (3, 1, RESIDUAL),
        "skip_start": (1, RESIDUAL, SKIP),
        "out1": (1, SKIP, SKIP),
        "cond_map_out1": (1, LATENT, SKIP),
        "logits": (1, SKIP, 256),
    }
    for layer in range(1, LAYERS + 1):
        shapes |= {
            f"ae_dilatedconv_{layer}": (3, ENCODER, ENCODER),
            f"ae_res_{layer}": (1, ENCODER, ENCODER),
            f"dilatedconv_{layer}": (3, RESIDUAL, 2 * RESIDUAL),
            f"cond_map_{layer}": (1, LATENT, 2 * RESIDUAL),
            f"res_{layer}": (1, RESIDUAL, RESIDUAL),
            f"skip_{layer}": (1, RESIDUAL, SKIP),
        }
    weights = {f"{name}/W": RNG.standard_normal((1, *shape), np.float32) for name, shape in shapes.items()}
    return weights | {f"{name}/biases": RNG.standard_normal(s[-1], np.float32) for name, s in shapes.items()}


def convolved(x: np.ndarray, variables: dict, name: str, dilation: int, shift: int) -> np.ndarray:
    """TensorFlow's convolution of x [T, in], as a sum over taps; tap k sees x[t + (k - shift) dilation]."""
    w, b = variables[f"{name}/W"][0].astype(np.float64), variables[f"{name}/biases"]
    y = np.zeros((len(x), w.shape[2])) + b
    for k, tap in enumerate(w):
        for t in range(len(x)):
            if 0 <= (u := t + (k - shift) * dilation) < len(x):
                y[t] += x[u] @ tap
    return y


def nsynth(x: np.ndarray, variables: dict) -> tuple[np.ndarray, np.ndarray]:
    """(frames [T / HOP, LATENT], logits [T, 256]) of x [T] by the original's equations."""
    en = convolved(x[:, None], variables, "ae_startconv", 1, 1)
    for layer in range(1, LAYERS + 1):
        d = convolved(np.maximum(en, 0), variables, f"ae_dilatedconv_{layer}", 2 ** (layer - 1), 1)
        en = en + convolved(np.maximum(d, 0), variables, f"ae_res_{layer}", 1, 0)
    frames = convolved(en, variables, "ae_bottleneck", 1, 0).reshape(-1, HOP, LATENT).mean(1)
    c = np.repeat(frames, HOP, 0)
    h = convolved(np.append(0, x[:-1])[:, None], variables, "startconv", 1, 2)
    s = convolved(h, variables, "skip_start", 1, 0)
    for layer in range(1, LAYERS + 1):
        a = convolved(h, variables, f"dilatedconv_{layer}", 2 ** (layer - 1), 2)
        a += convolved(c, variables, f"cond_map_{layer}", 1, 0)
        u = np.tanh(a[:, RESIDUAL:]) * (1 + np.tanh(a[:, :RESIDUAL] / 2)) / 2  # a sigmoid
        h = h + convolved(u, variables, f"res_{layer}", 1, 0)
        s = s + convolved(u, variables, f"skip_{layer}", 1, 0)
    s = convolved(np.maximum(s, 0), variables, "out1", 1, 0) + convolved(c, variables, "cond_map_out1", 1, 0)
    return frames, convolved(np.maximum(s, 0), variables, "logits", 1, 0)


def test_nsynth(tmp_path):
    """Values are those of the original's equations, on the weights as the original lays them out."""
    variables = nsynth_variables()
    slots = {f"{name}/ExponentialMovingAverage": value + 1 for name, value in variables.items()}
    prefix = write_tf_checkpoint(tmp_path / "model.ckpt-200000", variables | slots | {"step": np.int64(9)})
    preset, module, *_ = import_checkpoint(prefix)
    assert preset.model.encoder_blocks == preset.model.blocks == 1
    codes = torch.from_numpy(RNG.integers(0, 256, (1, 2 * HOP)))
    frames, logits = nsynth((codes[0].numpy() - 128) / 128, variables)
    with torch.no_grad():
        z = module.encode(codes)
        ours = module(codes, z)
    np.testing.assert_allclose(z[0].T, frames, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(ours[0].T, logits, rtol=1e-4, atol=1e-3)


def test_nsynth_in_parts(tmp_path):
    variables = nsynth_variables()
    prefix = write_tf_checkpoint(tmp_path / "a", variables, shards=len(variables))
    (tmp_path / f"a.data-00003-of-{len(variables):05d}").unlink()
    with pytest.raises(KikiboubaError, match=r"variables of the autoencoder are missing: ae_\w+/\w+ \(needs"):
        import_checkpoint(prefix)
    del variables["dilatedconv_7/W"]
    with pytest.raises(KikiboubaError):
        import_checkpoint(write_tf_checkpoint(tmp_path / "b", variables))
    strange = {"strange/W": np.zeros((1, 1, 1, 1), np.float32)}
    prefix = write_tf_checkpoint(tmp_path / "c", nsynth_variables() | strange)
    with pytest.raises(KikiboubaError, match="'strange/W' is not one of NSynth"):
        import_checkpoint(prefix)


def test_music_translation(tmp_path):
    module = translation_module(3)
    folder = write_pth(tmp_path / "run", module, wrap="module.")
    for path in (folder, folder / "bestmodel"):
        imported = import_checkpoint(path)
        assert not imported.notes
        assert imported.preset.model.domains == ("domain_0", "domain_1", "domain_2")
        found = imported.module.state_dict()
        assert all(torch.equal(found[key], value) for key, value in module.state_dict().items())
    preset, again = load_checkpoint(import_to(tmp_path / "ours", imported, folder), "cpu")
    assert preset == imported.preset
    assert all(torch.equal(again.state_dict()[key], value) for key, value in found.items())


def test_music_translation_of_some_domains(tmp_path):
    module = translation_module(3)
    folder = write_pth(tmp_path / "run", module, "lastmodel")
    (folder / "lastmodel_0.pth").unlink()
    imported = import_checkpoint(folder)
    assert imported.notes == ("of 3 domains 1 are missing: lastmodel_0.pth",)
    assert imported.preset.model.domains == ("domain_1", "domain_2")
    assert torch.equal(imported.module.decoders[1].logits.weight, module.decoders[2].logits.weight)
    last = imported.module.classifier.convs[6].weight
    assert torch.equal(last, module.classifier.convs[6].weight[1:])
    (alone,) = import_checkpoint(folder / "lastmodel_1.pth").preset.model.domains
    assert alone == "domain_1"


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda state: state | {"model_optimizer_state": Evil()}, "is damaged, or no checkpoint"),
        (lambda state: {"weights": {}}, "lacks encoder_state"),
        (lambda state: state | {"decoder_state": {"a": 1}}, "is no tensor"),
        (lambda state: state | {"encoder_state": {"a": torch.zeros(1).expand(1 << 30)}}, "share their data"),
        (lambda state: state | {"discriminator_state": {}}, "a classifier of 0 domains"),
        (lambda state: state | {"decoder_state": {}}, "lack"),
    ],
)
def test_files_that_are_not_to_be_trusted(change, reason, tmp_path, capsys):
    folder = write_pth(tmp_path / "run", translation_module(1))
    file = folder / "bestmodel_0.pth"
    torch.save(change(torch.load(file, weights_only=True)), file)
    with pytest.raises(KikiboubaError, match=reason):
        import_checkpoint(folder)
    assert "executed" not in capsys.readouterr().out
