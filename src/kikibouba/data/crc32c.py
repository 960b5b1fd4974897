"""CRC-32C, the checksum in TensorFlow's files, and the mask under which they store it.

A CRC is linear over exclusive-or. So each byte contributes what its value and its distance from the end of a
block say, whatever the other bytes are, and a table of all contributions lets numpy add up a block at once.
And the register after A + B is that after A, advanced by as many zero bytes as B has, xor that of B alone:
large data is cut into lanes that are worked on side by side, four bytes at a time, and joined pair by pair.
"""

from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, lowest bit first"""
BLOCK = 1024
"""Bytes added up at a time"""
LARGE = 1 << 17
"""From this many bytes on, lanes are worth while."""
CHUNK = 1 << 24
"""Bytes cut into lanes at a time, which bounds the memory."""
_LANE_WORDS = 64
_MASK_DELTA = 0xA282EAD8

_Operator = np.ndarray
"""[32] uint32: what becomes of each bit of the register as zero bytes pass through."""


def crc32c(data: bytes | np.ndarray) -> int:
    """The checksum of some bytes, or of any contiguous array's, 0 … 2^32 - 1."""
    octets = np.frombuffer(data, np.uint8)
    register = 0xFFFFFFFF
    if len(octets) < LARGE:
        return _by_blocks(octets, register) ^ 0xFFFFFFFF
    for start in range(0, len(octets), CHUNK):
        chunk = octets[start : start + CHUNK]
        before = _apply(_zero_bytes(len(chunk)), np.full(1, register, np.uint32))
        register = int((before ^ _by_lanes(chunk))[0])
    return register ^ 0xFFFFFFFF


def masked_crc32c(data: bytes | np.ndarray) -> int:
    """`crc32c` rotated right by 15 bits plus a constant, for data that may hold checksums itself."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def _by_blocks(octets: np.ndarray, register: int) -> int:
    """The register after some bytes."""
    for start in range(0, len(octets), BLOCK):
        block = octets[start : start + BLOCK].copy()
        block[:4] ^= np.frombuffer(register.to_bytes(4, "little"), np.uint8)[: len(block)]
        parts = _contributions()[BLOCK - len(block) :][np.arange(len(block)), block]
        register = (register >> 8 * len(block)) ^ int(np.bitwise_xor.reduce(parts))
    return register


def _by_lanes(octets: np.ndarray) -> np.ndarray:
    """The register [1] after some bytes, having begun at zero, to which leading zeros change nothing."""
    lanes = 1 << max(0, (len(octets) - 1) // (4 * _LANE_WORDS)).bit_length()
    padded = np.zeros(lanes * _LANE_WORDS * 4, np.uint8)
    padded[len(padded) - len(octets) :] = octets
    register = np.zeros(lanes, np.uint32)
    low, high = _word_tables()
    for words in np.ascontiguousarray(padded.view("<u4").reshape(lanes, _LANE_WORDS).T):
        register ^= words
        register = low[register & 0xFFFF] ^ high[register >> 16]
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
    result = np.uint32(1) << np.arange(32, dtype=np.uint32)
    power = _one_byte(result)
    while count:
        if count & 1:
            result = _apply(power, result)
        power = _apply(power, power)
        count >>= 1
    return result


def _one_byte(register: np.ndarray) -> np.ndarray:
    """Registers after one more zero byte."""
    for _ in range(8):
        register = (register >> 1) ^ np.where(register & 1, np.uint32(POLYNOMIAL), np.uint32(0))
    return register


@cache
def _contributions() -> np.ndarray:
    """[BLOCK, 256] uint32: what byte b at place i of a block leaves in the register at the block's end."""
    step = _one_byte(np.arange(256, dtype=np.uint32))
    rows = [step]
    for _ in range(BLOCK - 1):
        rows.append((rows[-1] >> 8) ^ step[rows[-1] & 0xFF])
    return np.stack(rows[::-1])


@cache
def _word_tables() -> tuple[np.ndarray, np.ndarray]:
    """[65536] uint32 each: the register four zero bytes later, of its low and of its high half."""
    low = np.arange(1 << 16, dtype=np.uint32)
    high = low << np.uint32(16)
    for _ in range(4):
        low, high = _one_byte(low), _one_byte(high)
    return low, high
