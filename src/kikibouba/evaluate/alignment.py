"""Whether a decoder reads along in time: what it looks at beside what it says."""

import numpy as np

from kikibouba.data.event_tokens import EventVocabulary, Kind


def steps_of(vocabulary: EventVocabulary, symbols: np.ndarray) -> np.ndarray:
    """The step of the window that each symbol is about, [N] int64; a bar line is about its bar's first."""
    kind = vocabulary.kind[symbols]
    bar = np.maximum(np.cumsum(kind == Kind.BAR) - 1, 0)
    place = np.where(kind == Kind.POSITION, symbols - vocabulary.first[Kind.POSITION], 0)
    moves = (kind == Kind.POSITION) | (kind == Kind.BAR)
    last = np.maximum.accumulate(np.where(moves, np.arange(len(symbols)), 0))
    return bar * vocabulary.steps_per_bar + place[last]


def diagonality(
    vocabulary: EventVocabulary, source: np.ndarray, said: np.ndarray, looks: np.ndarray
) -> float:
    """Correlation, over what was said, of the step it is about with the mean step that was looked at: 1 where
    the model reads along in time. NaN if either does not vary.

    Args:
        vocabulary: of the symbols.
        source: int64 [S], what was read.
        said: int64 [N].
        looks: [N, S], where the decoder looked before each symbol.
    """
    now, looked = steps_of(vocabulary, said).astype(float), looks @ steps_of(vocabulary, source)
    if not len(said) or not now.std() or not looked.std():
        return float("nan")
    return float(np.corrcoef(now, looked)[0, 1])
