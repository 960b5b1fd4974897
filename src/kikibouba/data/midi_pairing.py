"""Which note-off ends which note, by the rule of pretty_midi, which the originals read their data by.

A note-off closes every open note of its channel and pitch that began before its tick. If it closed some, a
note that began at its very tick stays open; if none, that one is deleted. So almost always a note ends at the
next note-off of its pitch, which numpy finds for all notes at once; only where a note begins and ends on one
tick must the rule be played through.
"""

import numpy as np


def pair_notes(tick: np.ndarray, is_on: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which note-off closes which note-on.

    Args:
        tick: [N] not decreasing.
        is_on: [N] bool; the other events are note-offs.
        key: [N] int, the same for events of the same channel and pitch.

    Returns:
        (on, off): indices [M] of the events that begin and end each note, in the order in which notes are
        closed.
    """
    order = _stable_argsort(key)
    key, tick, is_on = key[order], tick[order], is_on[order]
    on = np.flatnonzero(is_on)
    closing = _next_where(~is_on)[on]
    exists = closing < len(order)
    on, closing = on[exists], closing[exists]
    same = key[closing] == key[on]
    on, closing = on[same], closing[same]
    if (doubtful := tick[closing] == tick[on]).any():
        on, closing = _replay(tick, is_on, key, on, closing, np.unique(key[on[doubtful]]))
    on, off = order[on], order[closing]
    by_closing = _stable_argsort(off)  # notes that end together are of one key, and in order already
    return on[by_closing], off[by_closing]


def _stable_argsort(values: np.ndarray) -> np.ndarray:
    """`np.argsort(values, kind="stable")` of values >= 0; small ones are sorted in linear time."""
    if len(values) and values.max() < 2**16:
        values = values.astype(np.uint16)
    return np.argsort(values, kind="stable")


def _next_where(mask: np.ndarray) -> np.ndarray:
    """For each position the first one at or after it where the mask holds; the length where there is none."""
    position = np.where(mask, np.arange(len(mask)), len(mask))
    return np.minimum.accumulate(position[::-1])[::-1]


def _replay(
    tick: np.ndarray,
    is_on: np.ndarray,
    key: np.ndarray,
    on: np.ndarray,
    closing: np.ndarray,
    keys: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The notes of some keys anew, event by event: those where a note may begin and end on one tick."""
    keep = ~np.isin(key[on], keys)
    pairs = []
    for k in keys:
        low, high = np.searchsorted(key, [k, k + 1]).tolist()
        still_open: list[tuple[int, int]] = []
        ticks, starts = tick[low:high].tolist(), is_on[low:high].tolist()
        for i, (now, starts_note) in enumerate(zip(ticks, starts, strict=True), low):
            if starts_note:
                still_open.append((now, i))
                continue
            closed = [j for began, j in still_open if began < now]
            pairs += [(j, i) for j in closed]
            still_open = [note for note in still_open if note[0] == now] if closed else []
    again = np.array(pairs, np.int64).reshape(-1, 2)
    return np.concatenate([on[keep], again[:, 0]]), np.concatenate([closing[keep], again[:, 1]])
