"""Products of a matrix with a vector, for weights of 32 and of 8 bits; on any CPU."""

import numpy as np
from numba import njit

Array = np.ndarray


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def gemv(weight: Array, x: Array, add: Array, out: Array) -> None:
    """out[r] = add[r] + Σ_k weight[r, k] x[k]."""
    for r in range(len(out)):
        row = weight[r]  # a view, so that the loop below has one index, and is vectorised
        total = np.float32(0.0)
        for k in range(len(x)):
            total += np.float32(row[k]) * x[k]
        out[r] = add[r] + total


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def gemv_int8(weight: Array, scale: Array, x: Array, whole: Array, add: Array, out: Array) -> None:
    """out[r] = add[r] + scale[r] · Σ_k weight[r, k] x[k], weights in -127 … 127 and x rounded to whole
    numbers, so large that sums just fit 32 bits; `whole` (int16) is room for them.
    """
    top = np.float32(min(32767, (2**31 - 1) // (127 * len(x))))
    unit = peak(x, out) / top
    for k in range(len(x)):
        whole[k] = np.int16(np.rint(x[k] / unit))
    for r in range(len(out)):
        row = weight[r]
        total = np.int32(0)
        for k in range(len(x)):
            total = np.int32(total + np.int32(row[k]) * np.int32(whole[k]))
        out[r] = add[r] + scale[r] * unit * np.float32(total)


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def peak(x: Array, room: Array) -> np.float32:
    """The largest |x[k]|, at least 1e-12.

    Floats above 0 are ordered as their bits are, and of whole numbers LLVM finds the largest 16 at a time;
    the first of `room` (float32) serves to read those bits as a float again.
    """
    bits, top = x.view(np.int32), np.int32(0)
    for k in range(len(bits)):
        top = max(top, np.int32(bits[k] & 0x7FFFFFFF))
    room.view(np.int32)[0] = top
    return max(room[0], np.float32(1e-12))
