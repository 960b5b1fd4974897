"""How fast chords are guessed, and how often the guess is what an annotator wrote.

    python benchmarks/bench_chords.py ALIGNED_MIDI_FOLDER ORIGINAL_MIDI_FOLDER ANNOTATIONS_FOLDER [songs]

POP909 comes with chords (`NNN_chord_midi.txt`, in seconds of the original file) and beats
(`NNN_beat_midi.txt`); the notes tell where these beats lie in the aligned file. Compared are triads (see
`data.chords`), sixteenth by sixteenth, wherever the annotator wrote one that has a class.
"""

import sys
import time
from pathlib import Path

import numpy as np

from kikibouba.data.chord_inference import infer_chords
from kikibouba.data.chords import chord_class
from kikibouba.data.midi import read_midi
from kikibouba.data.notes import NoteSequence, split_on_time_changes
from kikibouba.errors import KikiboubaError

UNKNOWN = -1
KINDS = {"maj": "", "min": "m", "hdim7": "m7b5", "minmaj": "m(maj7)"}


def class_of(name: str) -> int:
    """The class of a chord such as C:min7/b3, `UNKNOWN` if it has none."""
    root, _, kind = name.split("/")[0].partition(":")
    kind = KINDS.get(kind, kind.replace("min", "m"))
    try:
        return 0 if root == "N" else chord_class(root + kind)
    except KikiboubaError:
        return UNKNOWN


def annotated(
    folder: Path, song: str, original: NoteSequence, aligned: NoteSequence
) -> list[tuple[float, int]]:
    """(seconds of the aligned file, class) where each annotated chord begins."""
    beats = np.loadtxt(folder / f"{song}_beat_midi.txt")[:, 0]
    seconds_per_beat = 60 / aligned.tempos[0, 1]
    numbers = np.arange(len(beats))
    beat_of_note = np.interp(np.sort(original.notes["start"]), beats, numbers)
    shift = round(float(np.median(np.sort(aligned.notes["start"]) / seconds_per_beat - beat_of_note)))
    lines = (folder / f"{song}_chord_midi.txt").read_text().splitlines()
    starts, _, names = zip(*(line.split() for line in lines), strict=True)
    seconds = (np.interp(np.array(starts, float), beats, numbers) + shift) * seconds_per_beat
    return list(zip(seconds.tolist(), map(class_of, names), strict=True))


def by_sixteenth(chords: list[tuple[float, int]], sixteenth: float, count: int) -> np.ndarray:
    """Class [count] at each sixteenth, of (seconds, class) in order."""
    starts = np.array([seconds for seconds, _ in chords]) - sixteenth / 2
    labels = np.array([UNKNOWN, *(label for _, label in chords)])
    return labels[np.searchsorted(starts, np.arange(count) * sixteenth, "right")]


def main() -> None:
    """Measure and print."""
    aligned, original, annotations = map(Path, sys.argv[1:4])
    files = sorted(aligned.rglob("*.mid"))[: int(sys.argv[4]) if len(sys.argv) > 4 else None]
    equal, compared, seconds = 0, 0, 0.0
    for file in files:
        piece = split_on_time_changes(read_midi(file))[0]
        began = time.process_time()
        guess = infer_chords(piece)
        seconds += time.process_time() - began
        (original_file,) = original.rglob(file.name)
        sixteenth = 15 / piece.tempos[0, 1]
        count = int(piece.total_time / sixteenth)
        written = annotated(annotations, file.stem, read_midi(original_file), piece)
        truth = by_sixteenth(written, sixteenth, count)
        guessed = by_sixteenth([(t, chord_class(symbol)) for t, symbol in guess.chords], sixteenth, count)
        equal += int((guessed == truth)[truth > 0].sum())
        compared += int((truth > 0).sum())
    print(f"{len(files)} songs, {len(files) / seconds:.0f} a second")
    print(f"the annotator's triad in {equal / compared:.1%} of {compared} sixteenths")


if __name__ == "__main__":
    main()
