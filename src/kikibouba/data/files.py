"""Writing files so that nobody ever finds half of one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from kikibouba.errors import KikiboubaError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A binary file that appears under `path` complete, or not at all.

    The bytes go to a hidden neighbour, which takes the name only when the block ends without an exception;
    after an error, Ctrl-C included, the neighbour is gone and an older file of that name is untouched.

    Raises:
        KikiboubaError: the folder is missing or not writable, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise KikiboubaError(f"cannot write {path}: it is a folder; name a file in it")
    if not path.parent.is_dir():
        raise KikiboubaError(f"cannot write {path}: there is no folder {path.parent}; create it first")
    neighbour = path.parent / f".kikibouba-{secrets.token_hex(6)}.tmp"
    try:
        with open(neighbour, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a power cut after the rename must not leave an empty file
        os.replace(neighbour, path)
    except OSError as error:
        raise KikiboubaError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        neighbour.unlink(missing_ok=True)


def write_bytes(path: str | Path, content: bytes) -> Path:
    """Write a whole file atomically and return its path."""
    with atomic_write(path) as file:
        file.write(content)
    return Path(path)


def write_text(path: str | Path, content: str) -> Path:
    """Write a whole UTF-8 text file atomically and return its path."""
    return write_bytes(path, content.encode("utf-8"))


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """All of a file that should be at most `max_bytes` long.

    Raises:
        KikiboubaError: it cannot be read, is empty or is larger.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise KikiboubaError(f"cannot read {path}: {error.strerror or error}") from None
    if not content:
        raise KikiboubaError(f"{path} is empty")
    if len(content) > max_bytes:
        raise KikiboubaError(f"{path} is larger than the {max_bytes / 1e6:.0f} MB allowed for such a file")
    return content
