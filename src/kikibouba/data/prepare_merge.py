"""From part files to a dataset: every file's examples in the order of file names, each into its split."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from kikibouba.config import representation_to_dict
from kikibouba.data.prepare_ledger import Ledger
from kikibouba.data.prepare_parts import Examples, Reading, Readings
from kikibouba.data.sources import Source
from kikibouba.data.store import SPLITS, Dataset, DatasetWriter
from kikibouba.errors import KikiboubaError


class NothingUsable(KikiboubaError):
    """No file gave an example."""


def merge(
    representation: Any, sources: Sequence[Source], readings: Readings, missing: int, out: Path, unique: bool
) -> Dataset:
    """Put the parts together.

    Args:
        representation: of the examples; its `scale_factor`, if that is 1, becomes that of the examples.
        sources: every file, in the order in which they shall come.
        readings: of the sources; one that has none, because it is in no list, is noted as skipped.
        missing: how many listed names have no file.
        out: folder of the dataset.
        unique: keep only the first of equal examples, train before valid before test.

    Raises:
        NothingUsable: there is no example in them; says why.
    """
    first = _first_of_equal(sources, readings) if unique else None
    categories = {name: code for code, name in enumerate(sorted(readings.categories))}
    with DatasetWriter(out) as writer:
        ledger = Ledger(writer.text("skipped.txt"), writer.text("warnings.txt"))
        seen = duplicates = 0
        for source, reading in _usable(sources, readings, ledger.skip):
            ledger.keep(source.name, reading.record)
            splits = _splits(source, reading.examples)
            if first is not None:
                is_first = first[seen : seen + len(splits)]
                seen += len(splits)
                duplicates += int((~is_first & (splits >= 0)).sum())
                splits = np.where(is_first, splits, -1)
            counts = _write(writer, reading, splits, categories)
            writer.add_source(source.name, reading.record["sha256"], counts)
        if not any(writer.counts().values()):
            reasons = "; ".join(
                f"{n} x {why}, e.g. {name}" for n, name, why in ledger.summary()["skipped"][:3]
            )
            lists = f"; {missing} names in the split lists have no file: they count from the input folder"
            raise NothingUsable(
                f"none of {len(sources)} files gave an example: {reasons}{lists if missing else ''}"
            )
        if getattr(representation, "scale_factor", None) == 1.0 and writer.counts()["train"]:
            representation = dataclasses.replace(representation, scale_factor=_normalise(writer))
        return writer.close(
            {
                "representation": representation_to_dict(representation),
                "categories": list(categories),
                "duplicates": duplicates,
                "missing": missing,
                **ledger.summary(),
            }
        )


def _usable(
    sources: Sequence[Source], readings: Readings, skip: Callable[[str, str], None]
) -> Iterator[tuple[Source, Reading]]:
    """Every file that gave examples which belong to a split; `skip` is told name and reason of the others."""
    for source, reading in zip(sources, readings, strict=True):
        if reading is None or (source.split is None and reading.record["splitless"]):
            skip(source.name, "in no split list")
        elif reading.record["skipped"] is not None:
            skip(source.name, reading.record["skipped"])
        else:
            yield source, reading


def _splits(source: Source, examples: Examples) -> np.ndarray:
    """Index into SPLITS of each example, [n] int8: what its file names, or its file's own; -1: neither."""
    named = SPLITS.index(source.split) if source.split else -1
    return np.where(examples.splits < 0, np.int8(named), examples.splits)


def _write(
    writer: DatasetWriter, reading: Reading, splits: np.ndarray, categories: dict[str, int]
) -> dict[str, int]:
    """A file's examples into their splits. Returns how many each split got, of those that got any."""
    rows, lengths, _, own_codes = reading.examples
    codes = np.array([*(categories[name] for name in reading.record["categories"]), -1])[own_codes]
    counts = {}
    for code, split in enumerate(SPLITS):
        chosen = splits == code
        if not (count := int(chosen.sum())):
            continue
        if count == len(chosen):
            writer.add(split, rows, lengths, codes)
        else:
            writer.add(split, rows[np.repeat(chosen, lengths)], lengths[chosen], codes[chosen])
        counts[split] = count
    return counts


def _first_of_equal(sources: Sequence[Source], readings: Readings) -> np.ndarray:
    """For every example of every usable file, whether no equal one comes before it; [N] bool.

    Those of train come before those of valid, and those before test. Examples are compared by 64 bits of a
    hash: among twenty million, two that differ pass for equal with a probability of 1 in 100,000.
    """
    splits, digests = [np.zeros(0, np.int8)], [np.zeros(0, np.uint64)]
    for source, reading in _usable(sources, readings, lambda *_: None):
        splits.append(_splits(source, reading.examples))
        digests.append(np.frombuffer(b"".join(_digests(reading.examples)), np.uint64))
    split, digest = np.concatenate(splits), np.concatenate(digests)
    digests.clear()
    last = np.int8(len(SPLITS))
    order = np.lexsort((np.where(split < 0, last, split), digest))  # equal ones side by side, in their order
    digest = digest[order]
    first = np.ones(len(split), bool)
    first[order[1:]] = digest[1:] != digest[:-1]
    return first


def _digests(examples: Examples) -> Iterator[bytes]:
    ends = np.cumsum(examples.lengths)
    for start, end in zip((ends - examples.lengths).tolist(), ends.tolist(), strict=True):
        yield blake2b(examples.rows[start:end].tobytes(), digest_size=8).digest()


def _normalise(writer: DatasetWriter) -> float:
    """Divide all offsets by their standard deviation over the training split, as Sketch-RNN does; returns it.

    It is the population deviation of dx and dy pooled, kept as `scale_factor` by the representation.
    """
    count, total, squares = 0, 0.0, 0.0
    for block in _offset_blocks(writer.rows("train")):
        values = block.astype(np.float64)
        count, total, squares = count + values.size, total + values.sum(), squares + np.square(values).sum()
    scale_factor = float(np.sqrt(squares / count - (total / count) ** 2)) or 1.0
    for split, n in writer.counts().items():
        if n:
            for block in _offset_blocks(writer.rows(split)):
                block /= np.float32(scale_factor)
    return scale_factor


def _offset_blocks(rows: np.ndarray, size: int = 1 << 20) -> Iterator[np.ndarray]:
    """The (dx, dy) columns of stroke-3 rows as views of bounded length."""
    return (rows[i : i + size, :2] for i in range(0, len(rows), size))
