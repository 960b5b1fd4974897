"""CRC-32C, the checksum in TensorFlow's files, and the mask under which they store it.

A CRC is linear over exclusive-or: each byte contributes what its value and its distance from the end of the
block say, whatever the other bytes are. So a table of all contributions lets numpy add up a block at once.
"""

from functools import cache

import numpy as np

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, lowest bit first"""
BLOCK = 1024
"""Bytes added up at a time"""
_MASK_DELTA = 0xA282EAD8


@cache
def _contributions() -> np.ndarray:
    """[BLOCK, 256] uint32: what byte b at place i of a block leaves in the register at the block's end."""
    step = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        step = (step >> 1) ^ np.where(step & 1, np.uint32(POLYNOMIAL), np.uint32(0))
    rows = [step]
    for _ in range(BLOCK - 1):
        rows.append((rows[-1] >> 8) ^ step[rows[-1] & 0xFF])
    return np.stack(rows[::-1])


def crc32c(data: bytes) -> int:
    """The checksum of some bytes, 0 … 2^32 - 1."""
    octets = np.frombuffer(data, np.uint8)
    register = 0xFFFFFFFF
    for start in range(0, len(octets), BLOCK):
        block = octets[start : start + BLOCK].copy()
        block[:4] ^= np.frombuffer(register.to_bytes(4, "little"), np.uint8)[: len(block)]
        parts = _contributions()[BLOCK - len(block) :][np.arange(len(block)), block]
        register = (register >> 8 * len(block)) ^ int(np.bitwise_xor.reduce(parts))
    return register ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """`crc32c` rotated right by 15 bits plus a constant, for data that may hold checksums itself."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
