"""Weights of 8 bits times activations of 16, by AVX-512 VNNI.

Its instruction VPDPBUSD multiplies 64 unsigned bytes with 64 signed ones and adds the products, in fours, to
16 sums of 32 bits. Here a sum belongs to a row of the matrix, and four columns are dealt with at a time:

    weights      row 0: w00 w01 w02 w03 | row 1: w10 w11 w12 w13 | … | row 15
    activations         x0  x1  x2  x3  |        x0  x1  x2  x3  | …

Activations of 16 bits are two bytes, x = 256 (high - 128) + low, so a weight is loaded once and used twice:

    W x = 256 (W high - 128 W 1) + W low

Sums are exact: at most 127 · 255 · columns. A *tile* is 64 rows; its weights lie in memory as they are read.
numba knows no vectors, which is why `_tile` is written in LLVM's own language.
"""

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from kikibouba.nn.wavenet_products import peak

Array = np.ndarray

LANES, BLOCKS = 16, 4
ROWS = LANES * BLOCKS
"""Of a tile."""

INT, FLOAT = ir.IntType(32), ir.FloatType()
INTS, FLOATS = ir.VectorType(INT, LANES), ir.VectorType(FLOAT, LANES)


def available() -> bool:
    """Whether this CPU has the instruction, and numba compiles for this CPU."""
    return getattr(config, "CPU_NAME", None) is None and bool(llvm.get_host_cpu_features().get("avx512vnni"))


def tiles(weight: Array) -> tuple[Array, Array]:
    """Weights int8 [L, rows, columns] as `gemv_vnni` reads them.

    Returns:
        [L, tiles, columns / 4, 256] int8, filled up with zeros; and -128 W 1, [L, tiles, 64] int32.
    """
    count, rows, columns = weight.shape
    filled = np.pad(weight, ((0, 0), (0, -rows % ROWS), (0, -columns % 4)))
    parts = filled.reshape(count, -1, ROWS, filled.shape[2] // 4, 4).swapaxes(2, 3)
    ones = filled.sum(2, dtype=np.int32).reshape(count, -1, ROWS)
    return np.ascontiguousarray(parts).reshape(*parts.shape[:3], 4 * ROWS), -128 * ones


def _tile_code(context: Any, builder: Any, signature: Any, arrays: Any) -> Any:
    found = [
        context.make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, arrays, strict=True)
    ]
    weights, starts, high, low, sums = (
        builder.bitcast(array.data, kind.as_pointer())
        for array, kind in zip(found, (INTS, INTS, INT, INT, FLOATS), strict=True)
    )
    dot = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(INTS, [INTS, INTS, INTS]), "llvm.x86.avx512.vpdpbusd.512"
    )
    highs = [cgutils.alloca_once_value(builder, _load(builder, starts, block)) for block in range(BLOCKS)]
    lows = [cgutils.alloca_once_value(builder, ir.Constant(INTS, None)) for _ in range(BLOCKS)]
    with cgutils.for_range(builder, builder.extract_value(found[0].shape, 0)) as loop:
        here = builder.mul(loop.index, loop.index.type(BLOCKS))
        x_high, x_low = (_spread(builder, _load(builder, x, loop.index)) for x in (high, low))
        for block in range(BLOCKS):
            w = _load(builder, weights, builder.add(here, here.type(block)))
            for total, x in ((highs[block], x_high), (lows[block], x_low)):
                builder.store(builder.call(dot, [builder.load(total), x, w]), total)
    for block in range(BLOCKS):
        above, below = (builder.sitofp(builder.load(total[block]), FLOATS) for total in (highs, lows))
        both = builder.fadd(builder.fmul(above, ir.Constant(FLOATS, [256.0] * LANES)), below)
        builder.store(both, builder.gep(sums, [ir.IntType(64)(block)]), align=4)
    return context.get_dummy_value()


def _load(builder: Any, pointer: Any, index: Any) -> Any:
    at = index if isinstance(index, ir.Value) else ir.IntType(64)(index)
    return builder.load(builder.gep(pointer, [at]), align=1)


def _spread(builder: Any, four_bytes: Any) -> Any:
    """The same four bytes for all 16 rows."""
    nothing = ir.Constant(INTS, ir.Undefined)
    first = builder.insert_element(nothing, four_bytes, INT(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(INTS, [0] * LANES))


def _tile_types(context: Any, weight: Any, start: Any, high: Any, low: Any, sums: Any) -> tuple[Any, Any]:
    return types.void(weight, start, high, low, sums), _tile_code


_tile: Any = intrinsic(_tile_types)
"""_tile(weight, start, high, low, sums): sums[:64] = 256 (start + W high) + W low for one tile."""


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")
def gemv_vnni(
    weight: Array, start: Array, scale: Array, x: Array, whole: Array, sums: Array, add: Array, out: Array
) -> None:
    """out[r] = add[r] + scale[r] · Σ_k W[r, k] x[k], x rounded to 16 bits.

    Args:
        weight, start: of one matrix; see `tiles`.
        scale, x, add, out: float32.
        whole, sums: int16 and float32, room for x and out, filled up as `tiles` does.
    """
    columns = 4 * weight.shape[1]
    high, low = whole.view(np.uint8)[:columns], whole.view(np.uint8)[columns : 2 * columns]
    unit = peak(x, sums) / np.float32(32767)
    for k in range(len(x)):
        value = np.int32(np.rint(x[k] / unit)) + 32768
        high[k], low[k] = np.uint8(value >> 8), np.uint8(value)
    for number in range(len(weight)):
        _tile(weight[number], start[number], high, low, sums[number * ROWS :])
    for r in range(len(out)):
        out[r] = add[r] + scale[r] * unit * sums[r]
