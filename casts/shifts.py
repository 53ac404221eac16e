"""The end of a cluster, told to the shifts in its workers: django-q2 lets them finish, and a shift can be long.

The word is a byte of memory that the forks share. No lock guards it: one held by a killed worker would hang the end.
"""

import ctypes
import multiprocessing
from typing import Any

_over: Any = None


def prepare() -> None:
    """Make the word, before the first fork."""
    global _over
    _over = multiprocessing.get_context("fork").RawValue(ctypes.c_bool, False)  # noqa: FBT003 - ctypes has no keywords


def end() -> None:
    """Tell all shifts to end. Does nothing outside of a cluster."""
    if _over is not None:
        _over.value = True


def is_over() -> bool:
    return _over is not None and bool(_over.value)
