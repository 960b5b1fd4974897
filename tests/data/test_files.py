"""Files appear complete or not at all."""

import os

import pytest

from kikibouba.data.files import atomic_write, read_bytes, write_bytes, write_text
from kikibouba.errors import KikiboubaError


def test_written_whole(tmp_path):
    path = write_text(tmp_path / "naïve = 1.txt", "grüße")
    assert path.read_bytes() == "grüße".encode()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = write_bytes(tmp_path / "a.bin", b"old")

    def interrupted():
        with atomic_write(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_missing_folder_is_one_line(tmp_path):
    with pytest.raises(KikiboubaError, match="there is no folder") as caught:
        write_bytes(tmp_path / "nowhere" / "a.bin", b"")
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(KikiboubaError, match="is a folder"):
        write_bytes(tmp_path, b"")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(KikiboubaError, match="Permission denied"):
            write_bytes(tmp_path / "a.bin", b"")
    finally:
        tmp_path.chmod(0o700)


def test_full_disk(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KikiboubaError, match="No space left"):
        write_bytes(tmp_path / "a.bin", b"content")
    assert os.listdir(tmp_path) == []


def test_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        mode = write_bytes(tmp_path / "a", b"").stat().st_mode & 0o777
    finally:
        os.umask(old)
    assert mode == 0o640


def test_read_bytes_bounds(tmp_path):
    path = write_bytes(tmp_path / "a", b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(KikiboubaError, match="larger"):
        read_bytes(path, 4)
    with pytest.raises(KikiboubaError, match="empty"):
        read_bytes(write_bytes(tmp_path / "b", b""), 4)
    with pytest.raises(KikiboubaError, match="No such file"):
        read_bytes(tmp_path / "c", 4)
