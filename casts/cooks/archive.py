"""A ZIP archive that is never there as a whole: each part of it is made when somebody asks for it.

Sizes and checksums are known before, so that the place of each byte is: a client is told the length, and can ask for a part, like the rest
after a broken connection. Files are stored, not packed (pictures are packed already), and read in small pieces. The form is
PKWARE's APPNOTE 6.3.10, with ZIP64 where numbers are too large for the old fields. The same entries give the same bytes.
"""

import struct
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from typing import IO

CHUNK_BYTES = 256 * 1024

_FULL_32 = 0xFFFFFFFF
_FULL_16 = 0xFFFF
_UTF8 = 0x0800
_VERSION, _VERSION_64 = 20, 45
_BY_UNIX = 3 << 8
_MODE = 0o100644 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the archive. `size` in bytes and `crc32` are of what `open` gives; it is opened when it is read."""

    name: str
    size: int
    crc32: int
    open: Callable[[], IO[bytes]]


class Archive:
    """An archive of entries in their order, all of one time."""

    def __init__(self, entries: Sequence[Entry], *, at: datetime) -> None:
        """Lay out the archive. No file is opened."""
        date, time = _dos_time(at)
        headers = [_local_header(entry, date, time) for entry in entries]
        parts: list[bytes | Entry] = [part for pair in zip(headers, entries, strict=True) for part in pair]
        sizes = [len(header) + entry.size for header, entry in zip(headers, entries, strict=True)]
        starts = [0, *accumulate(sizes)]
        directory = b"".join(_central_header(entry, start, date, time) for entry, start in zip(entries, starts, strict=False))
        parts.append(directory + _end(count=len(entries), size=len(directory), start=starts[-1]))
        self._parts = parts
        self._ends = list(accumulate(len(part) if isinstance(part, bytes) else part.size for part in parts))
        self.size = self._ends[-1]

    def chunks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        """Yield the bytes from `start` up to `stop`, in small pieces.

        Raises OSError when a file cannot be read, and ValueError when it is shorter than it was said to be.
        """
        left = (self.size if stop is None else min(stop, self.size)) - start
        position = bisect_right(self._ends, start)
        while left > 0:
            part = self._parts[position]
            skipped = start - (self._ends[position - 1] if position else 0)
            for chunk in _read(part, skipped, left):
                yield chunk
                left -= len(chunk)
                start += len(chunk)
            position += 1

    def open_at(self, start: int) -> "Reader":
        """Return what reads the archive from a place on."""
        return Reader(self.chunks(start))


class Reader:
    """Reads an archive on from a place. The files of the archive are opened one at a time."""

    def __init__(self, chunks: Generator[bytes, None, None]) -> None:
        """Take the bytes in small pieces."""
        self._chunks = chunks
        self._left = b""

    def read(self, count: int, /) -> bytes:
        """Return up to so many bytes, none at the end. Raises as `Archive.chunks` does."""
        chunk = self._left or next(self._chunks, b"")
        self._left = chunk[count:]
        return chunk[:count]

    def close(self) -> None:
        """Close the file that is open."""
        self._chunks.close()


def _read(part: bytes | Entry, skipped: int, most: int) -> Iterator[bytes]:
    if isinstance(part, bytes):
        yield part[skipped : skipped + most]
        return
    left = min(part.size - skipped, most)
    if not left:
        return
    with part.open() as file:
        file.seek(skipped)
        while left:
            chunk = file.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise ValueError(f"{part.name} has fewer than {part.size:,} bytes.")
            left -= len(chunk)
            yield chunk


def _dos_time(at: datetime) -> tuple[int, int]:
    """Return a date from 1980 on and a time of even seconds as the format has them."""
    return (at.year - 1980) << 9 | at.month << 5 | at.day, at.hour << 11 | at.minute << 5 | at.second // 2


def _local_header(entry: Entry, date: int, time: int) -> bytes:
    name = entry.name.encode()
    extra = b"" if entry.size < _FULL_32 else struct.pack("<HHQQ", 1, 16, entry.size, entry.size)
    size = _FULL_32 if extra else entry.size
    version = _VERSION_64 if extra else _VERSION
    fixed = struct.pack("<4s5H3L2H", b"PK\x03\x04", version, _UTF8, 0, time, date, entry.crc32, size, size, len(name), len(extra))
    return fixed + name + extra


def _central_header(entry: Entry, start: int, date: int, time: int) -> bytes:
    name = entry.name.encode()
    large = ([entry.size] * 2 if entry.size >= _FULL_32 else []) + ([start] if start >= _FULL_32 else [])
    extra = struct.pack(f"<HH{len(large)}Q", 1, 8 * len(large), *large) if large else b""
    size = min(entry.size, _FULL_32)
    version = _VERSION_64 if extra else _VERSION
    fixed = struct.pack(
        "<4s6H3L5H2L",
        b"PK\x01\x02",
        version | _BY_UNIX,
        version,
        _UTF8,
        0,
        time,
        date,
        entry.crc32,
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _MODE,
        min(start, _FULL_32),
    )
    return fixed + name + extra


def _end(*, count: int, size: int, start: int) -> bytes:
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, min(count, _FULL_16), min(count, _FULL_16), min(size, _FULL_32), min(start, _FULL_32), 0
    )
    if count < _FULL_16 and size < _FULL_32 and start < _FULL_32:
        return end
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, _VERSION_64 | _BY_UNIX, _VERSION_64, 0, 0, count, count, size, start)
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, start + size, 1) + end
