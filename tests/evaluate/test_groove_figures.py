"""Figures of grooves, on performances where they are known."""

import numpy as np

from kikibouba.evaluate.groove import groove_figures


def performance(*hits: tuple[int, int, float, float]) -> np.ndarray:
    """[32, 27] from (step, class, velocity of 127, offset in ms at 120 quarters a minute)."""
    row = np.zeros((32, 27), np.float32)
    for step, c, velocity, ms in hits:
        row[step, [c, c + 9, c + 18]] = (1, velocity / 127, ms / 62.5)
    return row


PLAYED = performance((0, 0, 100, 10), (4, 1, 60, -10), (8, 2, 50, 5), (12, 2, 20, 0))


def test_the_truth_is_right() -> None:
    figures = groove_figures([PLAYED, PLAYED], [PLAYED, PLAYED])
    for name in ("hit precision", "hit recall", "hit F1", "velocity correlation", "offset correlation"):
        assert np.isclose(figures[name], 1), name
    assert np.isclose(figures["velocity MAE"], 0)
    assert np.isclose(figures["offset MAE ms"], 0)
    assert np.isclose(figures["velocity spread, said"], np.std([100, 60, 50, 20]))


def test_only_common_hits_count_for_dynamics_and_timing() -> None:
    said = performance((0, 0, 90, 4), (4, 1, 70, 0), (5, 1, 1, 60), (8, 2, 50, 5))
    figures = groove_figures([said], [PLAYED])
    assert np.allclose([figures[f"hit {name}"] for name in ("precision", "recall", "F1")], 0.75)
    assert np.isclose(figures["velocity MAE"], 20 / 3, atol=1e-4)
    assert np.isclose(figures["velocity MAE, flat"], (40 + 0 + 10) / 3, atol=1e-4)
    assert np.isclose(figures["offset MAE ms"], (6 + 10 + 0) / 3, atol=1e-4)
    assert np.isclose(figures["offset MAE ms, flat"], 25 / 3, atol=1e-4)


def test_silence_gives_numbers_too() -> None:
    silent = performance()
    for said, played in ((silent, PLAYED), (PLAYED, silent), (silent, silent)):
        figures = groove_figures([said], [played])
        assert all(np.isfinite(value) for value in figures.values())
        assert figures["hit F1"] == 0
