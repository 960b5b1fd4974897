"""CRC-32C (Castagnoli) of large arrays, in numpy: the checksum of TensorFlow's checkpoints.

A CRC is linear: of two byte strings, crc(A + B) is crc(A), advanced by as many zero bytes as B has, xor
crc(B). So the bytes are cut into lanes of equal length that are worked on side by side, four bytes at a time,
and the lanes are then joined pair by pair. Zeros in front change nothing while the register is zero.
"""

from collections.abc import Callable

import numpy as np

_POLYNOMIAL = 0x82F63B78
_LANE_WORDS = 64
_CHUNK = 1 << 24
"""Bytes worked on at a time; what bounds the memory."""

_Operator = np.ndarray
"""[32] uint32: what becomes of each bit of the register as zero bytes pass through."""


def crc32c(data: bytes | np.ndarray) -> int:
    """The checksum of bytes (any contiguous array), as used by iSCSI, LevelDB and TensorFlow.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    content = np.frombuffer(data, np.uint8)
    register = np.full(1, 0xFFFFFFFF, np.uint32)
    for start in range(0, len(content), _CHUNK):
        chunk = content[start : start + _CHUNK]
        register = _apply(_zero_bytes(len(chunk)), register) ^ _from_zero(chunk)
    return int(register[0]) ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """A checksum as it is stored: rotated and shifted, so that a checksum of checksums stays a good one."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _from_zero(chunk: np.ndarray) -> np.ndarray:
    """The register [1] after a chunk that began with a register of zero."""
    lanes = 1 << max(0, (len(chunk) - 1) // (4 * _LANE_WORDS)).bit_length()
    padded = np.zeros(lanes * _LANE_WORDS * 4, np.uint8)
    padded[len(padded) - len(chunk) :] = chunk
    register = np.zeros(lanes, np.uint32)
    for words in np.ascontiguousarray(padded.view("<u4").reshape(lanes, _LANE_WORDS).T):
        register ^= words
        register = _LOW[register & 0xFFFF] ^ _HIGH[register >> 16]
    advance = _zero_bytes(4 * _LANE_WORDS)
    while len(register) > 1:
        register = _apply(advance, register[::2]) ^ register[1::2]
        advance = _apply(advance, advance)
    return register


def _apply(operator: _Operator, register: np.ndarray) -> np.ndarray:
    """The operator on every register of an array."""
    result = np.zeros_like(register)
    for bit, image in enumerate(operator):
        result ^= (register >> np.uint32(bit) & np.uint32(1)) * image
    return result


def _zero_bytes(count: int) -> _Operator:
    """The operator of `count` zero bytes, by repeated squaring."""
    result, power = np.uint32(1) << np.arange(32, dtype=np.uint32), _ONE_ZERO_BYTE
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return result


def _one_byte(register: np.ndarray) -> np.ndarray:
    for _ in range(8):
        register = register >> np.uint32(1) ^ (register & np.uint32(1)) * np.uint32(_POLYNOMIAL)
    return register


def _table(place: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """[65536] uint32: the register four bytes later, of each half register."""
    register = place(np.arange(1 << 16, dtype=np.uint32))
    for _ in range(4):
        register = _one_byte(register)
    return register


_ONE_ZERO_BYTE = _one_byte(np.uint32(1) << np.arange(32, dtype=np.uint32))
_LOW, _HIGH = _table(lambda half: half), _table(lambda half: half << np.uint32(16))
