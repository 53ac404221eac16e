"""Numbers that a key decides: the same on every machine, for ever. docs/cooks-drawing.md writes the algorithm down."""

import hashlib
from collections.abc import Iterator
from itertools import count

MAX_SEED = 2**63 - 1  # what a column holds

_SPAN = 2**64
_ROUNDS = 8


class Numbers:
    """An endless row of whole numbers below 2**64 that one text decides: SHA-256 in counter mode."""

    def __init__(self, *parts: str | int) -> None:
        """Take what decides them; only the last part may contain line breaks."""
        self._numbers = _numbers(hashlib.sha256("\n".join(map(str, parts)).encode()).digest())

    def below(self, bound: int) -> int:
        """Return the next number, from 0 to `bound` - 1, each as likely as the others. `bound` is at most 2**64."""
        usable = _SPAN - _SPAN % bound
        return next(number for number in self._numbers if number < usable) % bound


def _numbers(key: bytes) -> Iterator[int]:
    for block in count():
        digest = hashlib.sha256(key + block.to_bytes(8, "big")).digest()
        for start in (0, 8, 16, 24):
            yield int.from_bytes(digest[start : start + 8], "big")


def shuffled(position: int, *, size: int, key: str) -> int:
    """Return where a position from 0 to `size` - 1 goes when all of them are shuffled as a key says: no two to one place.

    A Feistel network over the smallest even number of bits that holds them, walked until it comes back among them.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    while True:
        position = _permuted(position, half=half, key=key)
        if position < size:
            return position


def _permuted(position: int, *, half: int, key: str) -> int:
    left, right = position >> half, position & ((1 << half) - 1)
    for turn in range(_ROUNDS):
        left, right = right, left ^ _round(key, turn, right, half)
    return left << half | right


def _round(key: str, turn: int, value: int, half: int) -> int:
    digest = hashlib.sha256(f"{key}\n{turn}\n{value}".encode()).digest()
    return int.from_bytes(digest[:8], "big") & ((1 << half) - 1)
