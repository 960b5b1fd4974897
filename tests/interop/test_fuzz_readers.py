"""Whatever a file holds, its reader refuses it with an error of ours, or reads it."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from interop.checkpoints import field, index_table, varint, write_tf_checkpoint
from interop.small_models import music_model, sketch_model
from kikibouba.errors import KikiboubaError
from kikibouba.exporting import export
from kikibouba.importing import import_checkpoint
from kikibouba.interop.formats import read_original
from kikibouba.interop.js_converters import CHORD_ENCODERS
from kikibouba.interop.magenta_tf import music_vae_to_tf
from kikibouba.interop.magenta_tf_sketch import to_tf

FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = st.one_of(st.integers(), st.integers(-2, 100), st.floats(), st.booleans(), st.none())
JSON = st.recursive(
    NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["decoder/output_projection/bias", "encoder/mu/kernel", "global_step", "x", ""])
WEIGHT = st.fixed_dictionaries(
    {"name": NAMES | JSON, "shape": st.lists(st.integers(-1, 5), max_size=3) | JSON},
    optional={
        "dtype": st.sampled_from(["float32", "int32", "bool"]) | JSON,
        "quantization": st.fixed_dictionaries(
            {"dtype": st.sampled_from(["uint8", "uint16", "float16"]), "scale": NUMBERS, "min": NUMBERS}
        )
        | JSON,
    },
)
GROUP = st.fixed_dictionaries(
    {
        "paths": st.lists(st.sampled_from(["a.bin", "b.bin", ".", "../c"]) | JSON, max_size=3) | JSON,
        "weights": st.lists(WEIGHT | JSON, max_size=4) | JSON,
    }
)
ENTRY = st.dictionaries(st.sampled_from(["filename", "shape"]), st.just("a.bin") | JSON)
TRIPLE = st.tuples(
    st.dictionaries(st.sampled_from(["mode", "scale_factor", "max_seq_len", "name"]), JSON) | JSON,
    st.lists(st.lists(st.integers(-1, 6), max_size=2) | JSON, min_size=5, max_size=5) | JSON,
    st.lists(st.just("AAAA") | JSON, min_size=5, max_size=5) | JSON,
)


def read(files: dict[str, bytes], name: str = "") -> None:
    """Read what these files are, imported as far as they let themselves."""
    with tempfile.TemporaryDirectory() as folder, suppress(KikiboubaError):
        for path, content in files.items():
            (Path(folder) / path).write_bytes(content)
        read_original(Path(folder) / name)
        import_checkpoint(Path(folder) / name, allow_partial="decoder")


@FEW
@given(st.lists(GROUP | JSON, max_size=3) | JSON, JSON, st.binary(max_size=64))
def test_magenta_js(manifest, config, content):
    files = {"weights_manifest.json": manifest, "config.json": config}
    read({name: json.dumps(value).encode() for name, value in files.items()} | {"a.bin": content})


@FEW
@given(st.dictionaries(NAMES, ENTRY | JSON, max_size=3) | JSON, JSON, st.binary(max_size=64))
def test_deeplearn_js(manifest, converter, content):
    files = {"manifest.json": manifest, "converter.json": converter}
    read({name: json.dumps(value).encode() for name, value in files.items()} | {"a.bin": content})


@FEW
@given(TRIPLE.map(list) | JSON)
@example([{"mode": 2}, [[1, 9], [9], [5, 4], [1, 4], [4]], ["AAAA"] * 5])
def test_sketch_rnn_js(content):
    read({"a.gen.json": json.dumps(content).encode()}, "a.gen.json")


NUMBER = st.integers(0, 300) | st.integers(0, (1 << 64) - 1)
MESSAGE = st.lists(
    st.builds(field, st.sampled_from([1, 2, 3, 4, 5, 7]), NUMBER)
    | st.builds(field, st.just(2), NUMBER.map(lambda n: field(2, field(1, n)))),
    max_size=6,
).map(b"".join)


@FEW
@given(st.dictionaries(st.binary(max_size=12), MESSAGE | st.binary(max_size=12), max_size=4), st.binary())
def test_tensorflow(entries, data):
    block = b"".join(
        varint(0) + varint(len(name)) + varint(len(value)) + name + value
        for name, value in sorted(entries.items())
    )
    table = index_table([(max(entries, default=b""), block)])
    read({"m.index": table, "m.data-00000-of-00001": data}, "m")


CHANGES = {
    "lost": lambda value: None,
    "a number": lambda value: np.float32(1),
    "empty": lambda value: value[..., :0],
    "cut": lambda value: value[..., :-1],
    "transposed": lambda value: value.T,
    "flat": lambda value: value.ravel(),
    "deeper": lambda value: value[None],
}
KINDS = ["melody", "drums_nade", "trio", "multitrack", "rhythm", "sketch"]


@FEW
@given(st.sampled_from(KINDS), st.data())
def test_variables_of_wrong_shapes(kind, data):
    """One or two variables changed; a weight that another must fit is missed."""
    if kind == "sketch":
        model = sketch_model()
        arrays = {name: tensor.numpy() for name, tensor in model.module.state_dict().items()}
        variables = to_tf(arrays, model.preset.model)
    else:
        variables = music_vae_to_tf(music_model(kind).module.state_dict())
    for name in data.draw(st.lists(st.sampled_from(sorted(variables)), min_size=1, max_size=2, unique=True)):
        value = CHANGES[data.draw(st.sampled_from(sorted(CHANGES)))](variables.pop(name))
        if value is not None:
            variables[name] = np.ascontiguousarray(value)
    allowed = data.draw(st.sampled_from([None, "decoder", "means"]))
    with tempfile.TemporaryDirectory() as folder, suppress(KikiboubaError):
        import_checkpoint(write_tf_checkpoint(Path(folder) / "m", variables), allow_partial=allowed)


@FEW
@given(st.binary(max_size=2000), st.sampled_from(["m.index", "m.tar", "m.tgz", "m.gen.json", "m.gen.js"]))
def test_bytes_of_no_format(content, name):
    read({name: content}, name)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A good checkpoint, of which config.json will say something else."""
    folder = tmp_path_factory.mktemp("exported") / "js"
    export(music_model("melody"), "magenta-js", folder)
    return folder


ARGUMENTS = (
    *("numSteps", "numSegments", "minPitch", "maxPitch", "pitchClasses", "humanize", "tapify", "melArgs"),
    *("bassArgs", "drumsArgs", "splitInstruments", "stepsPerQuarter", "totalSteps", "numVelocityBins"),
)
ARGS = st.dictionaries(st.sampled_from(ARGUMENTS), st.sampled_from([1, 4, 16, 32, 64, 512]) | JSON)
CONVERTERS = [
    "Melody",
    "Drums",
    "DrumRoll",
    "DrumsOneHot",
    "Groove",
    "Trio",
    "Multitrack",
    "MelodyShape",
    "MelodyRhythm",
    "Piano",
]
SPEC = st.fixed_dictionaries(
    {
        "dataConverter": st.fixed_dictionaries(
            {"type": st.sampled_from([f"{name}Converter" for name in CONVERTERS]) | JSON, "args": ARGS}
        )
        | JSON
    },
    optional={
        "type": st.just("MusicVAE") | JSON,
        "chordEncoder": st.sampled_from([*CHORD_ENCODERS]) | JSON,
        "conditionOnKey": JSON,
        "useBooleanDecoder": JSON,
        "extraControls": st.lists(st.fixed_dictionaries({"name": JSON, "depth": st.integers(0, 20)})) | JSON,
    },
)


@settings(FEW, max_examples=150)
@given(SPEC)
def test_what_config_json_says(exported, spec):
    (exported / "config.json").write_text(json.dumps(spec))
    with suppress(KikiboubaError):
        import_checkpoint(exported)
