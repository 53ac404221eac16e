"""Files of JSON lines that one process appends to, and that its kill leaves whole."""

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from decimal import InvalidOperation
from io import FileIO
from pathlib import Path
from typing import Any

_UNREADABLE = (ValueError, TypeError, KeyError, InvalidOperation, RecursionError)


class FileError(Exception):
    """The file cannot be appended to; the message says why."""


class AppendedFile:
    """One such file. A line is with the operating system when `append` returns, with `fsync` on the disk."""

    def __init__(self, path: Path, *, what: str, read: Callable[[Any], None], fsync: bool = False) -> None:
        """Read what is there: `read` is handed each line's value, and raises ValueError, KeyError or TypeError for what is not `what`.

        A last line that a kill cut short is cut off, so that each line that stays is whole.

        Raises:
            FileError: a line is none of ours, or another process appends to the file. Nothing is changed then.
        """
        self._fsync = fsync
        self._file: FileIO = path.open("ab+", buffering=0)
        try:
            self._take(path, what=what, read=read)
        except BaseException:
            self._file.close()
            raise

    def _take(self, path: Path, *, what: str, read: Callable[[Any], None]) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FileError(f"Another process appends to {path}.") from error
        end = 0
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                try:
                    read(json.loads(line))
                except _UNREADABLE as error:
                    if line.endswith(b"\n") or not line.startswith(b"{"):
                        raise FileError(f"{path} is no {what}: see line {number}.") from error
                    break
                end += len(line)
        self._file.truncate(end)
        if end and os.pread(self._file.fileno(), 1, end - 1) != b"\n":
            self._write(b"\n")

    def append(self, told: Any) -> None:
        """Append a line. Raises OSError when it cannot be written; nothing of it is there then."""
        self._write(json.dumps(told).encode() + b"\n")
        if self._fsync:
            os.fsync(self._file.fileno())

    def _write(self, data: bytes) -> None:
        before = os.fstat(self._file.fileno()).st_size
        rest = memoryview(data)  # one call of the operating system takes it all, unless the disk is full
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError:
            with suppress(OSError):  # the first one is what is told
                self._file.truncate(before)
            raise

    def close(self) -> None:
        self._file.close()
