"""Pictures of sound: the waveform, and its spectrogram in decibels."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WINDOW, STEP = 1024, 256
"""Of the short-time Fourier transform, in samples; longer steps for longer sounds."""
FLOOR = -80.0
"""Decibels below the loudest at which the picture is dark."""
LINES = 32
"""Most numbers of an embedding frame that are drawn as lines; more are an image."""
COLUMNS = 1500
"""Most columns of a spectrogram, and most points of a waveform."""


def spectrogram(wave: np.ndarray, window: int = WINDOW, step: int = STEP) -> np.ndarray:
    """Magnitudes of the short-time Fourier transform of samples [N], float32 [window // 2 + 1, frames].

    Frames are centred on samples 0, step, 2 step, …; silence lies before and after.
    """
    padded = np.pad(np.asarray(wave, np.float32), (window // 2, window // 2))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::step]
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    return np.abs(np.fft.rfft(frames * hann, axis=1)).T.astype(np.float32)


def draw_waveform(axes: "Axes", wave: np.ndarray, rate: int, color: str) -> None:
    """The range of the samples against seconds."""
    size = max(1, len(wave) // COLUMNS)
    blocks = np.pad(wave, (0, -len(wave) % size), mode="edge").reshape(-1, size)
    seconds = np.arange(len(blocks)) * size / rate
    axes.fill_between(seconds, blocks.min(axis=1), blocks.max(axis=1), color=color, linewidth=0.4)
    axes.set_xlim(0, len(wave) / rate)
    axes.set_ylim(-1, 1)


def draw_spectrogram(axes: "Axes", wave: np.ndarray, rate: int) -> None:
    """Loudness by seconds and kHz, in decibels below the loudest place."""
    step = max(STEP, -(-len(wave) // COLUMNS))
    levels = 20.0 * np.log10(np.maximum(spectrogram(wave, step=step), 1e-6))
    extent = (0.0, len(wave) / rate, 0.0, rate / 2000.0)
    top = float(levels.max())
    axes.imshow(
        levels, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=top + FLOOR, vmax=top
    )


def draw_frames(
    axes: "Axes",
    frames: np.ndarray,
    seconds_per_frame: float,
    limits: tuple[float, float] | None = None,
) -> None:
    """Embedding frames [T, W] against seconds: few numbers as lines, many as an image, the first at its foot.

    Args:
        limits: the values at the lower and the upper edge, or of the darkest and the lightest; by default
            those there are.
    """
    seconds = len(frames) * seconds_per_frame
    if frames.shape[1] <= LINES:
        axes.plot(np.arange(len(frames)) * seconds_per_frame, frames, linewidth=0.6)
        axes.set_xlim(0, seconds)
        if limits:
            axes.set_ylim(*limits)
        return
    low, high = limits or (float(frames.min()), float(frames.max()))
    extent = (0.0, seconds, 0.0, float(frames.shape[1]))
    axes.imshow(frames.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=low, vmax=high)
