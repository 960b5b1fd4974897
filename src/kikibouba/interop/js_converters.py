"""magenta.js's data converters ⇄ our representations.

A converter says what the rows of an example are: {"type": "MelodyConverter", "args": {"numSteps": 32, …}}.
Beside it a model's config.json may name a chord encoder, and say that the key is told too.
"""

from collections.abc import Mapping
from typing import Any, Literal

from kikibouba.data.drum_kits import PITCH_CLASSES, REDUCED_2018
from kikibouba.data.drums import DrumsRepresentation
from kikibouba.data.groove import GrooveRepresentation
from kikibouba.data.groove_inputs import DRUMS
from kikibouba.data.melody import MelodyRepresentation
from kikibouba.data.melody_outline import MelodyOutlineRepresentation
from kikibouba.data.multitrack import MultitrackRepresentation
from kikibouba.data.trio import TrioRepresentation
from kikibouba.errors import KikiboubaError, did_you_mean

STEPS_PER_BAR = 16
CHORD_ENCODERS = {
    "TriadChordEncoder": "triad",
    "MajorMinorChordEncoder": "majmin",
    "PitchChordEncoder": "pitches",
}
_DRUMS = ("DrumsConverter", "DrumRollConverter", "DrumsOneHotConverter")
_OUTLINES: dict[Any, Literal["shape", "rhythm"]] = {
    "MelodyShapeConverter": "shape",
    "MelodyRhythmConverter": "rhythm",
}
_TYPES = ("MelodyConverter", *_DRUMS, "GrooveConverter", "TrioConverter", "MultitrackConverter", *_OUTLINES)


def representation_from_js(spec: Mapping[str, Any]) -> Any:
    """What an example is, from a config.json.

    Raises:
        KikiboubaError: a converter, or an argument, that is not known here.
    """
    converter = spec.get("dataConverter")
    if not isinstance(converter, Mapping) or not isinstance(converter.get("args", {}), Mapping):
        raise KikiboubaError("config.json names no dataConverter with type and args")
    kind, args = converter.get("type"), converter.get("args", {})
    if spec.get("extraControls") and kind != "GrooveConverter":
        raise KikiboubaError(f"config.json lists extraControls, which are not known here for a {kind}")
    if kind == "MelodyConverter":
        return _melody(spec, args)
    if kind in _OUTLINES:
        melody = _melody(spec, args)
        return MelodyOutlineRepresentation(
            _OUTLINES[kind],
            melody.bars,
            melody.min_pitch,
            melody.max_pitch,
            chords=melody.chords,
            condition_on_key=melody.condition_on_key,
        )
    if kind in _DRUMS:
        return DrumsRepresentation(
            _bars(args),
            _kit(args),
            roll_output=kind == "DrumRollConverter",
            one_hot_input=kind == "DrumsOneHotConverter",
        )
    if kind == "TrioConverter":
        return _trio(spec, args)
    if kind == "GrooveConverter":
        return _groove(spec, args)
    if kind == "MultitrackConverter":
        return _multitrack(spec, args)
    raise KikiboubaError(f"the data converter {kind!r} is not known here{did_you_mean(str(kind), _TYPES)}")


def _groove(spec: Mapping[str, Any], args: Mapping[str, Any]) -> GrooveRepresentation:
    """A groove; what it is told besides shows in the widths of the extraControls: the hits, the next drum."""
    split = bool(args.get("splitInstruments", False))
    extra = spec.get("extraControls") or []
    if not isinstance(extra, list) or not all(isinstance(control, Mapping) for control in extra):
        raise KikiboubaError("config.json: extraControls must be a list of objects with name and depth")
    width = sum(_number(control, "depth", 0) for control in extra)
    hits = 1 if split else DRUMS
    if width not in ((0, hits, DRUMS, hits + DRUMS) if split else (0, hits)):
        raise KikiboubaError(
            f"config.json lists {width} extraControls, which are not known here for a groove"
        )
    return GrooveRepresentation(
        _bars(args),
        pitch_classes_in_use=_kit(args),
        humanize=bool(args.get("humanize", False)),
        tapify=bool(args.get("tapify", False)),
        hits_as_controls=width in (hits, hits + DRUMS),
        split_instruments=split,
        tells_drum=width >= DRUMS,
    )


def _melody(spec: Mapping[str, Any], args: Mapping[str, Any]) -> MelodyRepresentation:
    return MelodyRepresentation(
        _bars(args),
        _number(args, "minPitch", 21),
        _number(args, "maxPitch", 108),
        valid_programs=None,
        chords=_chords(spec),
        condition_on_key=bool(spec.get("conditionOnKey", False)),
    )


def _trio(spec: Mapping[str, Any], args: Mapping[str, Any]) -> TrioRepresentation:
    parts = [args.get(name, {}) for name in ("melArgs", "bassArgs", "drumsArgs")]
    if not all(isinstance(part, Mapping) for part in parts):
        raise KikiboubaError(
            "config.json: melArgs, bassArgs and drumsArgs of a TrioConverter must be objects"
        )
    ranges = [(_number(part, "minPitch", 21), _number(part, "maxPitch", 108)) for part in parts[:2]]
    if ranges[0] != ranges[1]:
        raise KikiboubaError(
            "config.json gives melody and bass different ranges of pitches; here they share one"
        )
    return TrioRepresentation(
        _bars(args),
        *ranges[0],
        pitch_classes=_kit(parts[2]),
        chords=_chords(spec),
        condition_on_key=bool(spec.get("conditionOnKey", False)),
    )


def _multitrack(spec: Mapping[str, Any], args: Mapping[str, Any]) -> MultitrackRepresentation:
    steps, tracks = _number(args, "numSteps", 0), _number(args, "numSegments", 0)
    pitches = _number(args, "minPitch", 0), _number(args, "maxPitch", 127)
    per_quarter, total = _number(args, "stepsPerQuarter", 24), _number(args, "totalSteps", 96)
    if not tracks or steps % tracks or total != 4 * per_quarter or pitches != (0, 127):
        raise KikiboubaError(
            "a MultitrackConverter is known here with numSteps a multiple of numSegments, totalSteps four "
            "times stepsPerQuarter, and all pitches from 0 to 127"
        )
    if _chords(spec) == "pitches" or spec.get("conditionOnKey"):
        raise KikiboubaError("multitrack models are known here with chords as classes, and without a key")
    return MultitrackRepresentation(
        velocity_bins=_number(args, "numVelocityBins", 8),
        max_instruments=tracks,
        events_per_instrument=steps // tracks,
        chords=_chords(spec),
        steps_per_quarter=per_quarter,
    )


def _chords(spec: Mapping[str, Any]) -> Any:
    name = spec.get("chordEncoder")
    if name is not None and name not in CHORD_ENCODERS:
        raise KikiboubaError(
            f"unknown chordEncoder {str(name)[:40]!r}{did_you_mean(str(name), CHORD_ENCODERS)}"
        )
    return "none" if name is None else CHORD_ENCODERS[name]


def levels_from_js(spec: Mapping[str, Any]) -> tuple[int, int] | None:
    """(segments, steps of each) of a hierarchical model; None if it is flat."""
    args = spec["dataConverter"].get("args", {})
    if not args.get("numSegments"):
        return None
    segments, steps = _number(args, "numSegments", 0), _number(args, "numSteps", 0)
    if segments < 2 or steps % segments:
        raise KikiboubaError(f"config.json cuts {steps} steps into {segments} segments, which does not go")
    return segments, steps // segments


def js_from_representation(representation: Any, levels: tuple[int, ...] = ()) -> dict[str, Any]:
    """The config.json of a model.

    Args:
        representation: what an example is.
        levels: the model's decoder_level_lengths.

    Raises:
        KikiboubaError: magenta.js has no such converter.
    """
    args: dict[str, Any] = {"numSteps": representation.steps}
    if levels:
        args["numSegments"] = levels[0]
    spec: dict[str, Any] = {"type": "MusicVAE"}
    kind, r = representation.kind, representation
    if getattr(r, "add_end_token", False) or (kind != "multitrack" and r.steps_per_quarter != 4):
        raise KikiboubaError("magenta.js has no examples with an end token or other than 4 steps a quarter")
    if kind == "melody":
        converter = "MelodyConverter"
        args |= {"minPitch": r.min_pitch, "maxPitch": r.max_pitch, "ignorePolyphony": not r.skip_polyphony}
    elif kind == "melody_outline":
        converter = next(js for js, ours in _OUTLINES.items() if ours == r.outline)
        args |= {"minPitch": r.min_pitch, "maxPitch": r.max_pitch, "ignorePolyphony": True}
    elif kind == "trio":
        converter = "TrioConverter"
        melody = {"minPitch": r.min_pitch, "maxPitch": r.max_pitch, "ignorePolyphony": True}
        args |= {"melArgs": melody, "bassArgs": melody, "drumsArgs": _kit_to_js(r.pitch_classes)}
    elif kind == "drums" and not (r.is_full or (r.one_hot_input and r.roll_output)):
        converter = _DRUMS[r.roll_output + 2 * r.one_hot_input]
        args |= _kit_to_js(r.pitch_classes)
    elif kind == "groove" and not (
        r.split_instruments or r.add_instruments or (r.fixed_velocities and not (r.tapify or r.humanize))
    ):
        converter = "GrooveConverter"
        args |= {"stepsPerQuarter": 4, "humanize": r.humanize, "tapify": r.tapify}
        args |= _kit_to_js(r.pitch_classes_in_use)
        if r.hits_as_controls:
            spec["extraControls"] = [{"name": "hits", "depth": DRUMS}]
    elif kind == "multitrack":
        converter = "MultitrackConverter"
        args |= {"stepsPerQuarter": r.steps_per_quarter, "totalSteps": r.steps_per_bar}
        args |= {"numVelocityBins": r.velocity_bins, "minPitch": 0, "maxPitch": 127}
    else:
        raise KikiboubaError(f"magenta.js has no data converter for these {kind} examples")
    if getattr(r, "chords", "none") != "none":
        spec["chordEncoder"] = next(js for js, ours in CHORD_ENCODERS.items() if ours == r.chords)
    if getattr(r, "condition_on_key", False):
        spec["conditionOnKey"] = True
    return spec | {"dataConverter": {"type": converter, "args": args}}


def _bars(args: Mapping[str, Any]) -> int:
    steps = _number(args, "numSteps", 0)
    if steps < 1 or steps % STEPS_PER_BAR:
        raise KikiboubaError(
            f"config.json says numSteps {steps}; whole bars of {STEPS_PER_BAR} steps are known here"
        )
    return steps // STEPS_PER_BAR


def _number(args: Mapping[str, Any], name: str, default: int) -> int:
    value = args.get(name, default)
    if type(value) is not int or not 0 <= value <= 10_000:
        raise KikiboubaError(f"config.json says {name} = {str(value)[:40]}; a whole number is expected")
    return value


def _kit(args: Mapping[str, Any]) -> Any:
    """Name of the table of drums; magenta.js has kept that of 2018."""
    given = args.get("pitchClasses")
    if given is None:
        return "reduced_2018"
    for name, table in PITCH_CLASSES.items():
        if given == [list(pitches) for pitches in table]:
            return name
    raise KikiboubaError(
        "config.json has a table of drums of its own (pitchClasses), which is not known here"
    )


def _kit_to_js(name: str) -> dict[str, Any]:
    table = PITCH_CLASSES[name]
    return {} if table == REDUCED_2018 else {"pitchClasses": [list(pitches) for pitches in table]}
