"""Archives that are made part by part: as independent readers see them."""

import io
import shutil
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casts.cooks import archive
from casts.cooks.archive import Archive, Entry

NOON = datetime(2026, 11, 29, 12, 30, 58, tzinfo=UTC)


def entry(name: str, data: bytes) -> Entry:
    return Entry(name=name, size=len(data), crc32=zlib.crc32(data), open=lambda: io.BytesIO(data))


def whole(made: Archive) -> bytes:
    return b"".join(made.chunks())


FILES = {"images/0001.png": b"\x89PNG" * 100_000, "metadata/0001.json": b"{}", "größe.txt": b"", "last": b"x"}


def test_readers_find_all_files_and_nothing_wrong(tmp_path: Path) -> None:
    made = Archive([entry(name, data) for name, data in FILES.items()], at=NOON)
    data = whole(made)
    assert len(data) == made.size
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        assert {info.filename: read.read(info) for info in read.infolist()} == FILES
        assert read.infolist()[0].date_time == (2026, 11, 29, 12, 30, 58)
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    assert (unzip := shutil.which("unzip")) is None or subprocess.run([unzip, "-tq", path], check=False).returncode == 0


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6), st.data())
def test_any_part_is_a_part_of_the_whole(contents: list[bytes], data: st.DataObject) -> None:
    made = Archive([entry(str(number), content) for number, content in enumerate(contents)], at=NOON)
    start = data.draw(st.integers(0, made.size - 1))
    stop = data.draw(st.integers(start + 1, made.size))
    assert b"".join(made.chunks(start, stop)) == whole(made)[start:stop]


def test_files_are_opened_when_they_are_read_and_no_others() -> None:
    opened: list[str] = []

    def opening(name: str) -> Entry:
        def open_it() -> io.BytesIO:
            opened.append(name)
            return io.BytesIO(b"12345")

        return Entry(name=name, size=5, crc32=zlib.crc32(b"12345"), open=open_it)

    made = Archive([opening("a"), opening("b"), opening("c")], at=NOON)
    assert opened == []
    list(made.chunks(36, 67))  # the header of b
    assert opened == []
    list(made.chunks(69, 70))
    assert opened == ["b"]
    opened.clear()
    assert len(whole(made)) == made.size
    assert opened == ["a", "b", "c"]


def test_a_file_that_is_too_short_is_no_archive() -> None:
    made = Archive([Entry(name="a", size=10, crc32=0, open=lambda: io.BytesIO(b"short"))], at=NOON)
    with pytest.raises(ValueError, match="a has fewer than 10 bytes"):
        whole(made)


def test_no_more_than_a_piece_is_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK_BYTES", 1000)
    assert max(map(len, Archive([entry("a", b"x" * 100_000)], at=NOON).chunks())) <= 1000


def test_more_than_four_gigabytes_are_read_by_others(tmp_path: Path) -> None:
    """Sparse: what lies between is never written. The checksum of zeros is not reckoned, so the file itself is not read back."""
    size = 5 * 2**30
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(size)
    entries = [Entry(name="big", size=size, crc32=0, open=lambda: big.open("rb")), entry("small", b"hello")]
    made = Archive(entries, at=NOON)
    path = tmp_path / "a.zip"
    with path.open("wb") as file:
        file.write(b"".join(made.chunks(0, 100)))
        file.seek(size)
        for chunk in made.chunks(size):
            file.write(chunk)
    assert path.stat().st_size == made.size
    with zipfile.ZipFile(path) as read:
        assert [(info.filename, info.file_size) for info in read.infolist()] == [("big", size), ("small", 5)]
        assert read.read("small") == b"hello"
    path.unlink()


def test_more_files_than_the_old_form_can_count_are_read_by_others() -> None:
    made = Archive([entry(str(number), b"") for number in range(70_000)], at=NOON)
    with zipfile.ZipFile(io.BytesIO(whole(made))) as read:
        assert len(read.infolist()) == 70_000
