"""kikibouba: every model is `x → z → x`, every bridge `z → z`, so anything translates into anything.

    import kikibouba as kb
    kb.load("mel_2bar").sample(4, temperature=0.5, seed=1)[0].save("a.mid")

Names are imported on first use, so that `import kikibouba` loads no torch.
"""

from importlib import import_module

__version__ = "0.1.0"

_WHERE = {
    "KikiboubaError": "kikibouba.errors",
    "load": "kikibouba.hub",
    "translate": "kikibouba.translator",
    "attribute_vectors": "kikibouba.attributes",
    "constrain": "kikibouba.constraining",
    "personalize": "kikibouba.personalizing",
    "morph": "kikibouba.morphing",
    "latent_map": "kikibouba.mapping",
    "feeling": "kikibouba.feelings",
    "Tune": "kikibouba.data.artifacts",
    "Drawing": "kikibouba.data.artifacts",
    "Sound": "kikibouba.data.artifacts",
    "NoteSequence": "kikibouba.data.notes",
    "MelodyRepresentation": "kikibouba.data.melody",
    "DrumsRepresentation": "kikibouba.data.drums",
    "MultitrackRepresentation": "kikibouba.data.multitrack",
    "SketchRepresentation": "kikibouba.data.sketch",
    "AudioRepresentation": "kikibouba.data.audio",
    "read_music": "kikibouba.data.music_files",
    "read_midi": "kikibouba.data.midi",
    "write_midi": "kikibouba.data.midi",
    "read_svg": "kikibouba.data.svg",
    "prepare": "kikibouba.data.prepare",
    "Dataset": "kikibouba.data.store",
    "find_preset": "kikibouba.config",
}

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module 'kikibouba' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
