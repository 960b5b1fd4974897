"""Our reader of tar archives finds what Python's writes, whatever the dialect, and fails cleanly."""

import io
import tarfile
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kikibouba.errors import KikiboubaError
from kikibouba.interop.tar_members import tar_members

NAMES = ["a", "folder/b.index", "é" * 40, "long/" * 19 + "name", "longer/" * 30 + "name"]


def archive(form: int) -> bytes:
    """An archive of small files, folders and links."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as tar:
        for k, name in enumerate(NAMES):
            info = tarfile.TarInfo(name)
            info.size = 100 * k
            if form == tarfile.PAX_FORMAT:
                info.mtime = 0.5  # which only an extension can say
            tar.addfile(info, io.BytesIO(bytes([k]) * info.size))
            link = tarfile.TarInfo(f"link_to_{k}")
            link.type, link.linkname = tarfile.SYMTYPE, name[:90]
            folder = tarfile.TarInfo(f"folder_{k}")
            folder.type = tarfile.DIRTYPE
            tar.addfile(link)
            tar.addfile(folder)
    return packed.getvalue()


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_names_and_places(form):
    packed = archive(form)
    members = list(tar_members(io.BytesIO(packed)))
    assert [member.name for member in members] == NAMES
    for k, member in enumerate(members):
        assert packed[member.start : member.start + member.size] == bytes([k]) * (100 * k)


def test_a_size_that_an_extension_says():
    """As for files of 8 GB and more."""
    info = tarfile.TarInfo("large")
    info.size, info.pax_headers = 700, {"size": "700"}
    header = bytearray(info.tobuf(tarfile.PAX_FORMAT))
    header[-512:][124:136] = b"0" * 12
    (member,) = tar_members(io.BytesIO(bytes(header) + bytes(2048)))
    assert (member.name, member.size) == ("large", 700)


@given(
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.lists(st.tuples(st.integers(0, 14_000), st.integers(0, 255)), max_size=6),
    st.integers(0, 20_000),
)
def test_damage_is_noticed_or_harmless(form, changes, length):
    packed = bytearray(archive(form))
    for at, octet in changes:
        packed[at % len(packed)] = octet
    packed = packed[:length]
    with suppress(KikiboubaError):
        for member in tar_members(io.BytesIO(bytes(packed))):
            assert 0 <= member.start <= member.start + member.size <= len(packed)
