"""Files, and files inside a .tar, as regions that nothing reads beyond."""

import gzip
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from kikibouba.errors import KikiboubaError
from kikibouba.interop.tar_members import tar_members

_COPY_BYTES = 1 << 20
_EXPANSION = 16
"""How many times its size a compressed archive of weights may expand to; weights hardly compress at all."""


class Region(NamedTuple):
    """Bytes `start … start + size` of an open file."""

    file: BinaryIO
    start: int
    size: int
    name: str

    def read(self, offset: int = 0, size: int | None = None) -> np.ndarray:
        """Bytes `offset … offset + size` (None: to the end), uint8.

        Raises:
            KikiboubaError: they lie outside the region, or the file is shorter than it was.
        """
        size = self.size - offset if size is None else size
        if offset < 0 or size < 0 or offset + size > self.size:
            raise KikiboubaError(f"{self.name} is damaged: bytes {offset} to {offset + size} lie outside it")
        content = np.empty(size, np.uint8)
        try:
            self.file.seek(self.start + offset)
            count = cast(int, self.file.readinto(memoryview(content)))  # type: ignore[attr-defined]
        except OSError as error:
            raise KikiboubaError(f"cannot read {self.name}: {error.strerror or error}") from None
        if count != size:
            raise KikiboubaError(f"{self.name} is truncated")
        return content


@contextmanager
def open_files(folder: Path, paths: Sequence[Path]) -> Iterator[dict[str, Region]]:
    """Whole files in a folder by their names relative to it."""
    with ExitStack() as stack:
        try:
            files = [stack.enter_context(path.open("rb")) for path in paths]
        except OSError as error:
            raise KikiboubaError(f"cannot read {error.filename}: {error.strerror}") from None
        yield {
            path.relative_to(folder).as_posix(): Region(file, 0, path.stat().st_size, str(path))
            for path, file in zip(paths, files, strict=True)
        }


@contextmanager
def open_tar(path: Path) -> Iterator[dict[str, Region]]:
    """The plain files in a .tar or .tar.gz by their names. Nothing is unpacked.

    Of a compressed archive a decompressed copy lies in a nameless temporary file while it is read.
    """
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
            if file.read(2) == b"\x1f\x8b":
                limit = _EXPANSION * path.stat().st_size + (1 << 20)
                file = stack.enter_context(_decompressed(path, limit))
            regions = _members(file, path)
        except (zlib.error, EOFError, OSError) as error:
            raise KikiboubaError(f"{path} is not a readable tar archive: {error}") from None
        yield regions


@contextmanager
def _decompressed(path: Path, limit: int) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as copy, gzip.open(path) as source:
        while chunk := source.read(_COPY_BYTES):
            copy.write(chunk)
            if copy.tell() > limit:
                raise KikiboubaError(
                    f"{path} expands to more than {_EXPANSION} times its size, which weights never do; "
                    "if you trust it, unpack it and name the folder"
                )
        yield cast(BinaryIO, copy)


def _members(file: BinaryIO, path: Path) -> dict[str, Region]:
    regions: dict[str, Region] = {}
    try:
        for member in tar_members(file):
            parts = [part for part in member.name.split("/") if part not in ("", ".")]
            if parts and not parts[-1].startswith("._"):  # macOS's notes
                name = "/".join(parts)
                regions[name] = Region(file, member.start, member.size, f"{path}:{name}")
    except KikiboubaError as error:
        raise KikiboubaError(f"{path} is not a readable tar archive: {error}") from None
    return regions
