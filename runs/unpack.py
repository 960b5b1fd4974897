"""Lay the training data out as `kikibouba prepare` wants it: files in a folder, split lists beside them.

    python runs/unpack.py ../shared/data datasets/raw

Makes, under the output folder:
    melody/{pop909,fiddle,oneill}/*.mid   melody/split/{train,valid,test}.txt
    drums/groove/**/*.mid                 drums/split/…
    sketch/quickdraw/*.npz  sketch/quickdraw345/{train,valid,test}.ndjson   sketch/split/…
    sheep/aaron_sheep.npz                 (non-commercial: for recipes and figures, never for bundled weights)
"""

import json
import lzma
import shutil
import sys
import tarfile
from pathlib import Path

SPLITS = ("train", "valid", "test")
MELODY = {"pop909": "music/pop909/pop909_aligned_mid", "fiddle": "seq2seq/fiddle/fiddle_mid",
          "oneill": "seq2seq/oneill/oneill_mid"}  # fmt: skip


def extract(archive: Path, out: Path) -> None:
    """Unpack a tar.xz whose members lie in one top folder, without that folder."""
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile():
                member.name = member.name.partition("/")[2]
                tar.extract(member, out, filter="data")


def lines(path: Path) -> list[str]:
    """The non-empty lines of a split list."""
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line]


def write_splits(out: Path, splits: dict[str, list[str]]) -> None:
    """One list of relative file names a split."""
    (out / "split").mkdir(parents=True, exist_ok=True)
    for split, names in splits.items():
        (out / "split" / f"{split}.txt").write_text("\n".join(names) + "\n", encoding="utf-8")


def unpack_midi(data: Path, out: Path, archives: dict[str, str]) -> None:
    """Extract MIDI archives into one folder each and join their split lists."""
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, archive in archives.items():
        extract(data / f"{archive}.tar.xz", out / name)
        folder = (data / archive).parent / "split"
        for split in SPLITS:
            splits[split] += [f"{name}/{file}" for file in lines(folder / f"{split}.txt")]
    write_splits(out, splits)


def unpack_sketches(data: Path, out: Path) -> None:
    """QuickDraw: 20 categories as .npz (which carry their splits), 344 as one .ndjson a split."""
    (out / "quickdraw").mkdir(parents=True, exist_ok=True)
    (out / "quickdraw345").mkdir(parents=True, exist_ok=True)
    for path in sorted((data / "sketches/quickdraw").glob("*.npz")):
        shutil.copy(path, out / "quickdraw" / path.name)
    in_both = {line.split()[-1] for s in SPLITS for line in lines(data / f"sketches/quickdraw/split/{s}.txt")}
    folder = data / "sketches/quickdraw345"
    split_of = {line.split("\t")[1]: s for s in SPLITS for line in lines(folder / f"split/{s}.txt")}
    kept: dict[str, list[str]] = {split: [] for split in SPLITS}
    with lzma.open(folder / "quickdraw345_simplified.ndjson.xz", "rt", encoding="utf-8") as file:
        for line in file:
            key = json.loads(line)["key_id"]
            if key in split_of and key not in in_both:
                kept[split_of[key]].append(line.rstrip("\n"))
    for split in SPLITS:
        text = "\n".join(kept[split]) + "\n"
        (out / "quickdraw345" / f"{split}.ndjson").write_text(text, encoding="utf-8")
    write_splits(out, {s: [f"quickdraw345/{s}.ndjson"] for s in SPLITS})


def main() -> None:
    """Unpack everything."""
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    unpack_midi(data, out / "melody", MELODY)
    unpack_midi(data, out / "drums", {"groove": "drums/groove/groove_mid"})
    unpack_sketches(data, out / "sketch")
    (out / "sheep").mkdir(parents=True, exist_ok=True)
    shutil.copy(data / "sketches/aaron_sheep/aaron_sheep.npz", out / "sheep" / "aaron_sheep.npz")
    print(f"data laid out in {out}")


if __name__ == "__main__":
    main()
