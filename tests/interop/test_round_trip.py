"""Export, then import: the same weights, bit for bit, and the same configuration where the format says it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import kikibouba as kb
from interop.checkpoints import write_deeplearn_js, write_tf_checkpoint
from interop.small_models import MUSIC, music_model, sketch_model, some_z
from kikibouba.config import Preset
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.errors import KikiboubaError
from kikibouba.exporting import export
from kikibouba.importing import import_checkpoint, import_to
from kikibouba.interop.import_music_vae import _candidates
from kikibouba.interop.magenta_js import SHARD_BYTES, quantise, read_magenta_js, write_magenta_js
from kikibouba.interop.magenta_tf import music_vae_from_tf, music_vae_to_tf
from kikibouba.interop.magenta_tf_sketch import to_tf
from kikibouba.interop.structure import structure_of
from kikibouba.models.music_vae.config import ModelConfig
from kikibouba.train.checkpoint import build_module

RNG = np.random.default_rng(3)


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    ours, theirs = a.state_dict(), b.state_dict()
    return set(ours) == set(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.filterwarnings("ignore:this model plays the hits it is told")
@pytest.mark.parametrize("name", MUSIC)
def test_magenta_js(name, tmp_path):
    model = music_model(name)
    files = export(model, "magenta-js", tmp_path / "js")
    assert files[-1].name == "config.json"
    found = import_checkpoint(tmp_path / "js")
    assert same_weights(model.module, found.module)
    assert found.preset.representation.layout.inputs[0].width == model.representation.layout.inputs[0].width
    assert found.preset.representation.kind == model.kind
    shapes = (
        "z_size",
        "enc_rnn_size",
        "dec_rnn_size",
        "conductor_rnn_size",
        "decoder",
        "decoder_level_lengths",
    )
    assert all(getattr(found.preset.model, s) == getattr(model.preset.model, s) for s in shapes)
    z = some_z(model, 2)
    again = kb.load(tmp_path / "js").decode_arrays(z)
    assert all(np.array_equal(a, b) for a, b in zip(model.decode_arrays(z), again, strict=True))


def test_residual_connections(tmp_path):
    """From TensorFlow's names; no preset has them, they show in the names."""
    sizes = {"z_size": 6, "enc_rnn_size": (7,), "dec_rnn_size": (9, 9), "latent_init": "clear"}
    config = ModelConfig(**sizes, residual_encoder=True, residual_decoder=True)
    module = build_module(replace(music_model("melody").preset, model=config), 0)
    prefix = write_tf_checkpoint(tmp_path / "model.ckpt", music_vae_to_tf(module.state_dict()))
    found = import_checkpoint(prefix)
    assert found.preset.model.residual_encoder
    assert found.preset.model.residual_decoder
    assert same_weights(module, found.module)


@pytest.mark.parametrize("name", ["melody", "drums_nade", "trio"])
def test_tensorflow(name, tmp_path):
    """Through TensorFlow's names; the preset is found by shape, or said where several fit."""
    model = music_model(name)
    variables = music_vae_to_tf(model.module.state_dict()) | {"global_step": np.int64(1)}
    prefix = write_tf_checkpoint(tmp_path / "model.ckpt-1", variables)
    presets = {"melody": None, "drums_nade": "nade-drums_2bar_reduced", "trio": "hier-trio_16bar"}
    settings = {"representation.bars": "4"} if name == "trio" else {}
    if name == "trio":
        settings |= {"model.encoder_level_lengths": "[16, 4]", "model.decoder_level_lengths": "[4, 16]"}
    found = import_checkpoint(prefix, presets[name], overrides=settings)
    assert same_weights(model.module, found.module)


def test_shards_and_their_order(tmp_path):
    variables = {"b": RNG.standard_normal((1100, 1000), np.float32), "a": RNG.standard_normal(7, np.float32)}
    files = write_magenta_js(tmp_path / "js", variables, {"type": "MusicVAE"})
    assert [file.name for file in files[:2]] == ["group1-shard1of2.bin", "group1-shard2of2.bin"]
    assert files[0].stat().st_size == SHARD_BYTES == 4_194_304
    assert files[1].stat().st_size == 4 * 1_100_007 - SHARD_BYTES
    assert [w["name"] for w in json.loads(files[2].read_text())[0]["weights"]] == ["a", "b"]
    read = read_magenta_js(tmp_path / "js")
    assert all(np.array_equal(read.variables[name], variables[name]) for name in variables)
    with pytest.raises(KikiboubaError, match="not empty"):
        write_magenta_js(tmp_path / "js", variables, {})


@pytest.mark.parametrize("precision", ["uint16", "uint8"])
@pytest.mark.parametrize("values", [(-1.0, 3.0), (2.0, 5.0), (-4.0, -1.0), (0.0, 0.0)])
def test_quantised_weights_are_half_a_step_off_at_most_and_zero_is_zero(precision, values):
    value = np.array([*np.linspace(*values, 99), 0.0], np.float32)
    numbers, scale, minimum = quantise(value, precision)
    assert numbers.dtype == precision
    back = numbers * scale + minimum
    assert np.abs(back - value).max() <= scale / 2 * 1.01
    assert back[-1] == 0


def test_quantised_export(tmp_path):
    model = music_model("melody")
    export(model, "magenta-js", tmp_path / "q1", "uint8")
    found = import_checkpoint(tmp_path / "q1")
    assert found.precision == "uint8"
    ours, theirs = model.module.state_dict(), found.module.state_dict()
    for key in ours:
        spread = ours[key].max() - ours[key].min()
        assert (ours[key] - theirs[key]).abs().max() <= spread / 255
    total = sum(file.stat().st_size for file in (tmp_path / "q1").glob("*.bin"))
    assert total == sum(tensor.numel() for tensor in ours.values())


@pytest.mark.parametrize("conditional", [True, False])
def test_sketch_rnn_js(conditional, tmp_path):
    """The file holds int16; what is imported from it is exported to the same bytes."""
    model = sketch_model(conditional)
    (path,) = export(model, "sketch-rnn-js", tmp_path / "1")
    assert path.name == ("sketch.vae.json" if conditional else "sketch.gen.json")
    found = kb.load(path)
    assert found.representation.scale_factor == 20.0
    for key, tensor in model.module.state_dict().items():
        assert (found.module.state_dict()[key] - tensor).abs().max() < 10 / 32767
    (again,) = export(found, "sketch-rnn-js", tmp_path / "2")
    assert json.loads(again.read_text())[1:] == json.loads(path.read_text())[1:]


def test_a_sketch_rnn_that_says_next_to_nothing(tmp_path):
    """Without mode, scale and length: the number of arrays tells what it is."""
    model = sketch_model(conditional=False)
    (path,) = export(model, "sketch-rnn-js", tmp_path)
    _, dims, weights = json.loads(path.read_text())
    path.write_text(json.dumps([{}, dims, weights]))
    imported = import_checkpoint(path)
    assert imported.preset.representation.scale_factor == 1.0
    assert "do not say how large" in imported.notes[0]
    assert not import_checkpoint(path, overrides={"representation.scale_factor": "20"}).notes
    with pytest.warns(UserWarning, match="do not say how large"):
        assert kb.load(path).sample(1, seed=1)


@pytest.mark.parametrize("cell", ["lstm", "layer_norm", "hyper"])
def test_every_variable_of_a_sketch_rnn_is_missed(cell, tmp_path):
    model = sketch_model(dec_model=cell, enc_model=cell)
    arrays = {name: tensor.numpy() for name, tensor in model.module.state_dict().items()}
    variables = to_tf(arrays, model.preset.model)
    for lost in variables:
        rest = {name: value for name, value in variables.items() if name != lost}
        with pytest.raises(KikiboubaError):
            import_checkpoint(write_tf_checkpoint(tmp_path / "vector", rest))


def test_of_a_sketch_rnn_nothing_may_be_missing(tmp_path):
    model = sketch_model()
    arrays = {name: tensor.numpy() for name, tensor in model.module.state_dict().items()}
    prefix = write_tf_checkpoint(tmp_path / "vector", to_tf(arrays, model.preset.model), shards=4)
    (tmp_path / "vector.data-00002-of-00004").unlink()
    with pytest.raises(KikiboubaError, match=r"needs vector\.data-00002-of-00004"):
        import_checkpoint(prefix)


def test_sketch_rnn_tensorflow(tmp_path):
    model = sketch_model()
    arrays = {name: tensor.numpy() for name, tensor in model.module.state_dict().items()}
    prefix = write_tf_checkpoint(tmp_path / "vector-40", to_tf(arrays, model.preset.model))
    found = import_checkpoint(prefix, overrides={"representation.scale_factor": "20.0"})
    for name, tensor in found.module.state_dict().items():
        assert (
            tensor - model.module.state_dict()[name]
        ).abs().max() < 1e-6  # the forget gate's 1 comes and goes
    assert found.preset.representation.scale_factor == 20.0


def test_imports_are_saved_like_any_model(tmp_path):
    model = music_model("drums")
    export(model, "magenta-js", tmp_path / "drums_2bar_mine")
    imported = import_checkpoint(tmp_path / "drums_2bar_mine")
    again = kb.load(import_to(tmp_path / "ours", imported, tmp_path / "drums_2bar_mine"))
    assert again.preset == imported.preset
    assert again.preset.name == "drums_2bar_mine"
    assert same_weights(again.module, model.module)
    assert "magenta.js" in (tmp_path / "ours" / "README.md").read_text()


def deeplearn_folder(tmp_path, drop=()):
    model = music_model("drums_nade")
    variables = music_vae_to_tf(model.module.state_dict())
    kept = {name: value for name, value in variables.items() if not name.startswith(tuple(drop))}
    converter = {"type": "DrumRollConverter", "args": {"numSteps": 32}}
    return model, write_deeplearn_js(tmp_path / "old", kept, converter)


def test_deeplearn_js(tmp_path):
    model, folder = deeplearn_folder(tmp_path)
    assert same_weights(import_checkpoint(folder).module, model.module)


def test_without_sigma_the_means_remain(tmp_path):
    model, folder = deeplearn_folder(tmp_path, ["encoder/sigma"])
    with pytest.raises(KikiboubaError, match=r"lacks encoder/sigma.*--allow-partial means"):
        import_checkpoint(folder)
    imported = import_checkpoint(folder, allow_partial="means")
    assert "sigma was missing" in imported.notes[0]
    x, lengths = torch.randint(0, 512, (3, 32)), torch.full((3,), 32)
    q, p = imported.module.encode(x, lengths), model.module.encode(x, lengths)
    assert torch.equal(q.mu, p.mu)
    assert 0 < q.sigma.max() < 1e-8


def test_without_decoder_nothing_helps(tmp_path):
    _, folder = deeplearn_folder(tmp_path)
    (folder / "decoder_z_to_initial_state_kernel").unlink()
    for allowed in (None, "decoder", "means"):
        with pytest.raises(KikiboubaError, match=r"1 of 18 .*z_to_initial_state/kernel \(needs decoder_z_to"):
            import_checkpoint(folder, allow_partial=allowed)


@pytest.mark.parametrize("lost", ["encoder/cell_0/bidirectional_rnn/bw", "encoder/cell_0", "encoder/mu"])
def test_an_encoder_of_which_nothing_says_that_it_is_incomplete(lost, tmp_path):
    model, folder = deeplearn_folder(tmp_path, [lost])
    with pytest.raises(KikiboubaError, match=r"encoder"):
        import_checkpoint(folder)
    imported = import_checkpoint(folder, allow_partial="decoder")
    assert imported.notes == ("the encoder is incomplete, and left out",)
    z = torch.from_numpy(some_z(model, 2))
    assert torch.equal(imported.module.decode(z, 0.0)[0], model.module.decode(z, 0.0)[0])


def test_of_a_tensorflow_checkpoint_the_shards_of_the_encoder_may_be_missing(tmp_path):
    """Each variable in a shard of its own; those of the encoder are lost one by one, then another."""
    model = music_model("melody")
    variables = music_vae_to_tf(model.module.state_dict())
    prefix = write_tf_checkpoint(tmp_path / "model.ckpt", variables, shards=len(variables))
    shards = dict(zip(sorted(variables), sorted(tmp_path.glob("*.data-*")), strict=True))
    for name in [name for name in shards if name.startswith("encoder/")]:
        shards[name].unlink()
        with pytest.raises(KikiboubaError, match=rf"{name} \(needs {shards[name].name}\).*allow-partial"):
            import_checkpoint(prefix)
        imported = import_checkpoint(prefix, allow_partial="decoder")
        assert name in imported.notes[0]
        z = torch.from_numpy(some_z(model, 2))
        assert torch.equal(imported.module.decode(z, 0.0)[0], model.module.decode(z, 0.0)[0])
    shards["decoder/output_projection/bias"].unlink()
    with pytest.raises(KikiboubaError, match="nothing can be decoded"):
        import_checkpoint(prefix, allow_partial="decoder")


def test_of_missing_shards_the_variables_are_named(tmp_path):
    variables = {"encoder/mu/bias": np.zeros(8, np.float32)} | {
        f"decoder/x{i}": np.zeros(600_000, np.float32) for i in range(4)
    }
    files = write_magenta_js(tmp_path / "js", variables, {})
    files[1].unlink()
    assert set(read_magenta_js(tmp_path / "js").missing) == {"decoder/x1", "decoder/x2", "decoder/x3"}


def test_several_presets_fit(tmp_path):
    """All GrooVAEs have one shape; the name of the file tells which it is, or the user does."""
    variables = music_vae_to_tf(music_model("groove").module.state_dict())
    prefix = write_tf_checkpoint(tmp_path / "model.ckpt", variables)
    with pytest.raises(
        KikiboubaError, match=r"say which with --preset: .*groovae_4bar.*groovae_2bar_humanize"
    ):
        import_checkpoint(prefix)
    assert import_checkpoint(prefix, "groovae_2bar_humanize").preset.representation.humanize
    named = write_tf_checkpoint(tmp_path / "groovae_2bar_tap_fixed_velocity.ckpt", variables)
    assert import_checkpoint(named).preset.representation.tapify
    with pytest.raises(
        KikiboubaError, match=r"not those of a cat-mel_2bar_small model; presets that fit: groovae"
    ):
        import_checkpoint(prefix, "cat-mel_2bar_small")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"enc_rnn_size": (7, 7)}, "more than one layer"),
        ({"dec_rnn_size": (8, 9)}, "differ in size"),
        ({"encoder": "lstm"}, "not bidirectional"),
        ({"residual_decoder": True}, "residual"),
        ({"z_size": 0}, "no latent vector"),
        ({"decoder_level_lengths": (2, 16)}, "do not cut an example alike"),
    ],
)
def test_what_magenta_js_cannot_run_is_not_exported(change, reason, tmp_path):
    model = music_model("melody")
    model.preset = replace(model.preset, model=replace(model.preset.model, **change))
    with pytest.raises(KikiboubaError, match=reason):
        export(model, "magenta-js", tmp_path / "js")
    assert not (tmp_path / "js").exists()


@pytest.mark.parametrize(
    ("name", "decoder", "reason"),
    [
        ("flat_trio", "categorical", "want split"),
        ("drums", "bits", "want categorical"),
        ("drums", "nade", "want categorical"),
        ("drums_nade", "categorical", "want nade or bits"),
        ("melody", "nade", "want categorical"),
        ("rhythm", "categorical", "want bits"),
        ("shape", "bits", "want categorical"),
    ],
)
def test_what_magenta_js_would_run_wrongly_is_not_exported(name, decoder, reason, tmp_path):
    """It loads these, and fails at the first note or says something else."""
    model = music_model(name)
    model.preset = replace(model.preset, model=replace(model.preset.model, decoder=decoder))
    with pytest.raises(KikiboubaError, match=f"its decoder is {decoder}, where such examples {reason} there"):
        export(model, "magenta-js", tmp_path / "js")


def test_a_multitrack_model_of_one_level_is_not_exported(tmp_path):
    model = music_model("multitrack")
    flat = replace(model.preset.model, encoder_level_lengths=(), decoder_level_lengths=())
    model.preset = replace(model.preset, model=flat)
    with pytest.raises(KikiboubaError, match="multitrack examples want two levels"):
        export(model, "magenta-js", tmp_path / "js")


def test_what_sketch_rnn_js_cannot_run_is_not_exported(tmp_path):
    with pytest.raises(KikiboubaError, match="20 mixtures"):
        export(sketch_model(num_mixture=5), "sketch-rnn-js", tmp_path)
    with pytest.raises(KikiboubaError, match="plain LSTM cells"):
        export(sketch_model(dec_model="layer_norm"), "sketch-rnn-js", tmp_path)
    with pytest.raises(KikiboubaError, match="z has shape"):
        export(sketch_model(), "sketch-rnn-js", tmp_path, z=np.zeros(3))
    with pytest.raises(KikiboubaError, match="holds sketch_rnn models"):
        export(music_model("melody"), "sketch-rnn-js", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("extra", [0, 1, 9, 10])
def test_split_drums_and_what_they_are_told(extra, tmp_path):
    """Not exported, because the library decodes a ninth of them only; but imported."""
    told = {"hits_as_controls": extra in (1, 10), "tells_drum": extra >= 9}
    representation = GrooveRepresentation(bars=1, split_instruments=True, **told)
    config = ModelConfig(z_size=4, enc_rnn_size=(5,), dec_rnn_size=(6,), decoder="groove")
    module = build_module(Preset("split", "music_vae", representation, config), 0)
    args = {"numSteps": 16, "splitInstruments": True}
    spec = {"type": "MusicVAE", "dataConverter": {"type": "GrooveConverter", "args": args}}
    spec["extraControls"] = [{"name": "told", "depth": extra}]
    write_magenta_js(tmp_path / "js", music_vae_to_tf(module.state_dict()), spec)
    found = import_checkpoint(tmp_path / "js")
    assert same_weights(found.module, module)
    widths = [
        [part.width for part in r.layout.controls] for r in (found.preset.representation, representation)
    ]
    assert widths[0] == widths[1]


def test_other_models_are_named(tmp_path):
    write_magenta_js(tmp_path / "rnn", {"a": np.zeros(2, np.float32)}, {"type": "MusicRNN"})
    with pytest.raises(KikiboubaError, match="the model is a 'MusicRNN'"):
        import_checkpoint(tmp_path / "rnn")
    prefix = write_tf_checkpoint(tmp_path / "me", {"latent_encoder/mu/bias": np.zeros(4, np.float32)})
    with pytest.raises(KikiboubaError, match="MidiMe"):
        import_checkpoint(prefix)
    (tmp_path / "empty").mkdir()
    with pytest.raises(KikiboubaError, match="is no checkpoint known here"):
        import_checkpoint(tmp_path / "empty")
    with pytest.raises(KikiboubaError, match="does not exist"):
        import_checkpoint(tmp_path / "nothing")


def test_a_converter_that_is_not_known(tmp_path):
    model = music_model("melody")
    export(model, "magenta-js", tmp_path / "js")
    spec = json.loads((tmp_path / "js" / "config.json").read_text())
    for change, reason in (
        ({"dataConverter": {"type": "MelodiConverter", "args": {}}}, "did you mean 'MelodyConverter'"),
        ({"chordEncoder": "TriadEncoder"}, "did you mean 'TriadChordEncoder'"),
        ({"extraControls": [{"name": "mood", "depth": 2}]}, "extraControls"),
        ({"dataConverter": {"type": "MelodyConverter", "args": {"numSteps": 30}}}, "whole bars of 16"),
        ({"dataConverter": None}, "names no dataConverter"),
    ):
        (tmp_path / "js" / "config.json").write_text(json.dumps(spec | change))
        with pytest.raises(KikiboubaError, match=reason):
            import_checkpoint(tmp_path / "js")


def test_every_configuration_of_the_original_is_told_by_its_shapes(shared):
    """At full size, from names and shapes alone; GrooVAEs have one shape."""
    listed = json.loads((shared / "golden" / "magenta_tf" / "variables_full_configs.json").read_text())
    for name, entry in listed.items():
        variables = {variable: np.zeros(shape, np.int8) for variable, shape in entry}
        found = [preset.name for preset in _candidates(structure_of(music_vae_from_tf(variables)))]
        preset = name.removeprefix("(custom) ")
        if preset.startswith("groovae") and "hits" not in preset:
            assert len(found) == 5
            assert preset in found
        else:
            assert found == [preset]
