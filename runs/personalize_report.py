"""Are personal models closer to their songs than their base is? The figures of docs/personalize.md.

    python runs/personalize_report.py [--preset midime] [--split valid] [--songs 20] [--json figures.json]

Songs of a split that the base was not trained on, drawn at random among those with twelve windows or more;
each is learnt by a bridge of its own, and 64 samples of it and of the base are compared with the song.
"""

import argparse
import json
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from kikibouba.data.files import write_text
from kikibouba.data.store import Dataset
from kikibouba.hub import load_model
from kikibouba.personal_report import compare
from kikibouba.personalizing import make_personal

ROOT = Path(__file__).parents[1]
FEWEST = 12
"""Windows of a song; of fewer, the statistics say little."""


def songs(dataset: Path, raw: Path, split: str, count: int, seed: int) -> list[Path]:
    """Files that lie wholly in a split, chosen by seed."""
    sources = Dataset.open(dataset).sources()
    long = [raw / one["file"] for one in sources if one["counts"].get(split, 0) >= FEWEST]
    chosen = np.random.default_rng(seed).permutation(len(long))[:count]
    return [long[i] for i in chosen.tolist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--preset", default="personal")
    parser.add_argument("--base", default="mel_2bar")
    parser.add_argument("--data", type=Path, default=ROOT / "datasets/melody")
    parser.add_argument("--raw", type=Path, default=ROOT / "datasets/raw/melody")
    parser.add_argument("--split", default="test")
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()

    base = load_model(args.base)
    rows: dict[str, dict[str, Any]] = {}
    for path in songs(args.data, args.raw, args.split, args.songs, args.seed):
        made = make_personal(base, path, preset=args.preset, seed=args.seed)
        rows[str(path.relative_to(args.raw))] = found = compare(
            made.model, base, made.songs.examples, seed=args.seed
        )
        pairs = found["distances"]
        apart = "  ".join(f"{name} {p['base']:.2f} → {p['personal']:.2f}" for name, p in pairs.items())
        counts = f"{found['examples']:>4} {found['closer']} of {len(pairs)} {found['new']:5.0%}"
        print(f"{path.stem:<32} {counts}  {apart}", flush=True)

    reports = list(rows.values())
    enough = sum(report["closer"] >= 4 for report in reports)
    print(f"closer in 4 or more statistics: {enough} of {len(reports)} songs")
    new = [report["new"] for report in reports]
    print(f"new: mean {mean(new):.0%}, least {min(new):.0%}")
    for name in reports[0]["distances"]:
        pairs = [report["distances"][name] for report in reports]
        closer = sum(pair["personal"] < pair["base"] for pair in pairs)
        personal, before = (median(pair[which] for pair in pairs) for which in ("personal", "base"))
        print(f"{name:<14} closer for {closer:>2}  median {before:.3f} → {personal:.3f}")
    if args.json:
        print(write_text(args.json, json.dumps(rows, indent=1) + "\n"))


if __name__ == "__main__":
    main()
