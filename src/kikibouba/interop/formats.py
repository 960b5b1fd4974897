"""Which of the originals' formats a path holds."""

from pathlib import Path

from kikibouba.errors import KikiboubaError
from kikibouba.interop.magenta_js import is_deeplearn_js, is_magenta_js, read_deeplearn_js, read_magenta_js
from kikibouba.interop.music_translation_pth import is_music_translation_pth, read_music_translation
from kikibouba.interop.original import Original
from kikibouba.interop.sketch_rnn_js import is_sketch_rnn_js, read_sketch_rnn_js
from kikibouba.interop.tf_checkpoint import TAR_SUFFIXES, is_tf_checkpoint, read_tf_original


def is_original(path: Path | str) -> bool:
    """Whether a path looks like a checkpoint of an original program. Reads next to nothing."""
    path = Path(path)
    if path.is_dir() and (is_magenta_js(path) or is_deeplearn_js(path)):
        return True
    return is_sketch_rnn_js(path) or is_tf_checkpoint(path) or is_music_translation_pth(path)


def read_original(path: Path | str) -> Original:
    """A checkpoint in any of the formats.

    Args:
        path: a folder of magenta.js or deeplearn.js, a file of sketch-rnn-js, or a TensorFlow checkpoint:
            prefix, folder or archive.

    Raises:
        KikiboubaError: none of these, or damaged.
    """
    path = Path(path)
    if path.is_dir() and is_magenta_js(path):
        return read_magenta_js(path)
    if path.is_dir() and is_deeplearn_js(path):
        return read_deeplearn_js(path)
    if is_sketch_rnn_js(path):
        return read_sketch_rnn_js(path)
    if is_tf_checkpoint(path):
        return read_tf_original(path)
    if is_music_translation_pth(path):
        return read_music_translation(path)
    what = "is no checkpoint known here" if path.exists() else "does not exist"
    archives = ", ".join(TAR_SUFFIXES)
    raise KikiboubaError(
        f"{path} {what}; allowed: a TensorFlow prefix, folder or archive ({archives}), a folder of "
        "magenta.js (weights_manifest.json) or deeplearn.js (manifest.json), a .gen.json or .vae.json of "
        "sketch-rnn-js, a .pth of music-translation"
    )


def plain_name(path: Path | str) -> str:
    """A name for what is imported: the path's last part, without what only says how it is stored."""
    name = Path(path).name
    for suffix in (".index", ".meta", *TAR_SUFFIXES, ".json", ".js", ".full", ".gen", ".vae", ".pth"):
        name = name.removesuffix(suffix)
    return name.partition(".ckpt")[0] or "imported"
