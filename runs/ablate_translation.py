"""What each part of latent translation is good for: short runs with one of them switched off, a table.

    python runs/ablate_translation.py datasets/sketch datasets/melody trained/ablation [steps]

Trains `sketch`-`mel_2bar` once for every row (posteriors are encoded once) and judges it on held-out items.
"""

import dataclasses
import os
import sys
from pathlib import Path

from kikibouba.config import load_preset
from kikibouba.evaluation import compare_translators
from kikibouba.training import train_translator

BASES = ("sketch", "mel_2bar")
ROWS = {
    "all parts": {},
    "no SWD": {"swd_weight": 0.0},
    "no classifier": {"classifier_weight": 0.0},
    "plain MLP": {"gated": False},
    "labels apart from positions": {"label_share": 0.0},
    "no critics": {"transfer_weight": 0.0},
    "critics of natives alone": {"decode_every": 0},
    "no cycle": {"cycle_weight": 0.0},
    "no realism": {"realism_weight": 0.0},
    "a tenth of the labels": {"labelled": 0.1},
    "no labels": {"attributes": ()},
    "paper's terms alone": dict.fromkeys(
        ("label_share", "cycle_weight", "realism_weight", "transfer_weight"), 0.0
    ),
}
METRICS = ("attributes", "transfer", "frechet", "cycle", "distances", "neighbours", "diversity", "distinct")


def main() -> None:
    """Train and judge every row; one that is done is not trained again."""
    data, out = sys.argv[1:3], Path(sys.argv[3])
    steps = int(sys.argv[4]) if len(sys.argv) > 4 else 200
    print(f"{'':<28}" + "".join(f"{metric:>11}" for metric in METRICS))
    for name, switches in ROWS.items():
        preset = load_preset("translation_attributes")
        preset = dataclasses.replace(preset, model=dataclasses.replace(preset.model, **switches))
        folder = out / name.replace(" ", "_").replace("'", "")
        share_posteriors(out / "posteriors", folder)
        train_translator(preset, BASES, data, folder, num_steps=steps)
        table = compare_translators(folder, data, limit=500, cache=out / "judges", baselines=False)
        figures = table[">".join(BASES)]["ours"]
        print(f"{name:<28}" + "".join(f"{figures[metric]:>11.3f}" for metric in METRICS), flush=True)


def share_posteriors(shared: Path, folder: Path) -> None:
    """Let a run keep its posteriors where those of the other runs are."""
    shared.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    if not (folder / "posteriors").exists():
        os.symlink(shared.resolve(), folder / "posteriors")


if __name__ == "__main__":
    main()
