"""Put trained checkpoints into the package: halve their precision, measure them, write their cards.

    python runs/bundle.py mel_2bar drums_2bar sketch sketch-mel_2bar …

Reads trained/NAME, writes src/kikibouba/weights/NAME. Bundle the bases before the translators between them.
"""

import json
import sys
from pathlib import Path

from kikibouba.attributes import attribute_vectors
from kikibouba.bridges.attribute_vectors import FILE_NAME
from kikibouba.bridges.fitted_prior import FILE_NAME as PRIOR
from kikibouba.data.files import write_bytes
from kikibouba.data.store import Dataset
from kikibouba.evaluation import evaluate
from kikibouba.train.checkpoint import load_checkpoint, model_card, save_checkpoint
from kikibouba.training import fit_prior

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "src/kikibouba/weights"
DATASETS = {
    "mel_2bar": "datasets/melody",
    "drums_2bar": "datasets/drums",
    "groove_humanize_2bar": "datasets/groove",
    "sketch": "datasets/sketch",
    "hier_drums_4bar": "datasets/drums4",
    "arrange_small": "datasets/arrange",
    "timbre_small": "datasets/timbre",
}
COMMANDS = {
    "arrange_small": "sh runs/arrange.sh (these weights in stages: docs/log.md)",
    "timbre_small": "sh runs/timbre.sh",
}
"""How a model was trained, where that is not `sh runs/make_weights.sh`."""
LIMITS = {"arrange_small": 400}
"""Examples measured, where each takes long."""
STAGES = {"timbre_small": ("timbre_first", "timbre_second")}
"""What was trained before it, and counts as its time."""
GROOVE = "Groove MIDI Dataset v1.0.0 (CC BY 4.0, Gillick et al. 2019, Google)"
CREDITS = {
    "mel_2bar": "POP909 (MIT, Wang et al. 2020; beat-aligned copy), Ryan's Mammoth Collection and O'Neill's "
    "Music of Ireland (public domain; ABC by volunteers, through music21's corpus)",
    "drums_2bar": GROOVE,
    "groove_humanize_2bar": GROOVE,
    "hier_drums_4bar": "Groove MIDI Dataset v1.0.0 (CC BY 4.0, Gillick et al. 2019, Google)",
    "sketch": "Quick, Draw! dataset by Google (CC BY 4.0): 20 categories of about 800 drawings, 344 of 25",
    "arrange_small": "POP909 (MIT, Wang et al. 2020; beat-aligned copy), tracks MELODY and PIANO",
    "timbre_small": "396 tunes of O'Neill's Music of Ireland (public domain; ABC by volunteers, through "
    "music21's corpus), rendered with TimGM6mb, the soundfont that comes with pretty_midi",
}
WEAKNESSES = {
    "mel_2bar": [
        "Trained for about an hour on one CPU core: reconstruction is good, free samples wander.",
        "Knows pop piano (accompaniment too) and fiddle tunes, in 4/4 only.",
    ],
    "drums_2bar": [
        "20,000 patterns of ten drummers: rare fills are simplified.",
        "Hits lie on the grid and have one loudness.",
    ],
    "hier_drums_4bar": [
        "Trained for two hours on less than half a CPU core, 12,450 steps of 64 patterns: keeps density and "
        "timbre, and loses detail that the two-bar model keeps.",
        "Hits lie on the grid and have one loudness.",
    ],
    "groove_humanize_2bar": [
        "Plays what is likeliest: loudness and above all timing vary less than with the drummers.",
        "Plays the hits it is told, no others; told none (`sample` without --controls-from), it is silent.",
        "Ten drummers, a third of it rock, then Latin, funk and jazz; in 4/4 only; sixteenths at the finest.",
    ],
    "sketch": [
        "Trained for an hour on one CPU core on 18,600 drawings (the original: 50,000 steps and more, on "
        "70,000 of one class): reconstructions keep gesture and proportions better than what is drawn.",
        "At most 130 points; long drawings are simplified first.",
    ],
    "arrange_small": [
        "Knows Chinese pop songs and their pianists only, and accompanies other tunes as if they were such.",
        "Guesses the chords of a tune from four bars of it; where they leave a choice, its chords and the "
        "player's often differ.",
        "Its patterns are the usual ones: of runs of six notes 45 % occur in the training songs, of the "
        "pianists' own 13 %.",
        "Bars of four quarters, sixteenths at the finest; all notes have one loudness.",
    ],
    "timbre_small": [
        "Trained for less than two hours on one CPU core: notes and rhythm come over, with hiss, and duller "
        "than the instruments are.",
        "Knows single lines between G3 and E6, played by one piano and one flute of one soundfont; chords, "
        "other instruments and rooms are outside.",
    ],
}
TRANSLATOR_WEAKNESSES = [
    "Maps measures (spiky to jagged, dense to busy), not subjects: a sheep does not sound like a sheep.",
    "No better than the two models it joins.",
]


CONSTRAINTS = "constraints-"
"""Constraints are named after their base: constraints-mel_2bar."""
CONSTRAINTS_WEAKNESSES = [
    "What is asked for changes more than itself: of a melody that stays close two notes of five stay.",
    "Steadiness is harder to ask for than unrest: smooth or repetitive melodies may take several tries.",
    "Thirds of the training examples are what low and high mean; nothing lies beyond them.",
]

STEERABLE = {"groove_humanize_2bar": ("loudness", "lateness", "swing")}
"""The attributes that z can change, where these are not all: hits that are told cannot be."""


def bundle_constraints(name: str) -> None:
    """Constraints over one base."""
    source, target, base = ROOT / "trained" / name, WEIGHTS / name, name.removeprefix(CONSTRAINTS)
    preset, module = load_checkpoint(source)
    run = json.loads((source / "metrics.json").read_text())
    save_checkpoint(target, module, preset, run, "", dtype="fp16")
    write_bytes(target / PRIOR, (source / PRIOR).read_bytes())
    figures = evaluate(target, DATASETS[base], "test")
    text = model_card(
        preset,
        data=CREDITS[base],
        licence="weights Apache-2.0; credit the data as named above",
        command="sh runs/make_weights.sh",
        seed=run["seed"],
        minutes=run["seconds"] / 60,
        figures={key: v for key, v in figures.items() if "reached" not in key and "before" not in key},
        weaknesses=CONSTRAINTS_WEAKNESSES,
    )
    save_checkpoint(target, module, preset, {"test": figures, "training": run}, text, dtype="fp16")
    print(f"{target}: {(target / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


def is_translator(name: str) -> bool:
    """Translators are named after their two bases."""
    return "-" in name


def bundle(name: str) -> None:
    """One checkpoint."""
    source, target = ROOT / "trained" / name, WEIGHTS / name
    preset, module = load_checkpoint(source)
    run = json.loads((source / "metrics.json").read_text())
    bases = name.split("-") if is_translator(name) else [name]
    command = COMMANDS.get(name, "sh runs/make_weights.sh")
    runs = [json.loads((ROOT / "trained" / one / "metrics.json").read_text()) for one in STAGES.get(name, ())]
    seconds = sum(one["seconds"] for one in [*runs, run])
    card = {"command": command, "seed": run["seed"], "minutes": seconds / 60}
    credits = "; ".join(CREDITS[base] for base in bases)
    weaknesses = TRANSLATOR_WEAKNESSES if is_translator(name) else WEAKNESSES[name]
    # The figures must be those of the file as it is shipped, so it is written before it is measured.
    save_checkpoint(target, module, preset, run, "", dtype="fp16")
    if getattr(module, "z_size", 0) and preset.representation.kind != "audio":
        fit_prior(target, Dataset.open(DATASETS[name]))
        # Beside a bundled model already there: `kikibouba attribute all --model NAME --data DATASET`.
        vectors = attribute_vectors(target, DATASETS[name])
        vectors.only(STEERABLE.get(name, vectors.vectors)).save(target / FILE_NAME)
    figures = evaluate(target, [DATASETS[base] for base in bases], "test", limit=LIMITS.get(name, 2000))
    metrics = {"test": figures, "training": run}
    text = model_card(
        preset,
        data=credits,
        licence="weights Apache-2.0; credit the data as named above",
        figures={**figures, "training steps": run["steps_done"]},
        weaknesses=weaknesses,
        **card,
    )
    save_checkpoint(target, module, preset, metrics, text, dtype="fp16")
    print(f"{target}: {(target / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
    for figure, value in figures.items():
        print(f"  {figure:<40} {value:.4g}")


if __name__ == "__main__":
    for checkpoint in sys.argv[1:]:
        if checkpoint.startswith(CONSTRAINTS):
            bundle_constraints(checkpoint)
        else:
            bundle(checkpoint)
