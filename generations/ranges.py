"""Parts of files that clients ask for by `Range` (RFC 9110, section 14). One part at a time; several get the whole file."""

import re

_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))\s*", re.IGNORECASE)


class UnsatisfiableRangeError(Exception):
    """A part that the file does not have. `headers` tell its size."""

    def __init__(self, header: str, *, size: int) -> None:
        """Take what was asked for, and the size of the file in bytes."""
        super().__init__(f"{header[:100]} is no part of a file of {size:,} bytes.")
        self.headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}


def requested_part(header: str, *, size: int) -> range | None:
    """Return the bytes of a file of that size that a `Range` header asks for.

    None for the whole file: it asks for none, for several, or in a way that is to be ignored.

    Raises:
        UnsatisfiableRangeError: it begins behind the end of the file.
    """
    match = _RANGE.fullmatch(header)
    if match is None:
        return None
    first, last, suffix = match.groups()
    if first is None:
        start, stop = max(0, size - int(suffix)), size
    else:
        start, stop = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= stop:
        raise UnsatisfiableRangeError(header, size=size)
    return range(start, stop)
