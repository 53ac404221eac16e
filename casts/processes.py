"""What the kernel can promise about a family of processes: children that die with their parent, orphans that are taken in.

Linux alone makes these promises. Elsewhere each function does nothing, and a kill -9 may leave processes behind.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

DeathSignal = signal.Signals


def _prctl() -> Callable[[int, int], int] | None:
    """Look the system call up: before a fork, since nothing may be loaded after one."""
    if sys.platform != "linux":
        return None
    call: Callable[[int, int], int] = ctypes.CDLL(None, use_errno=True).prctl
    return call


def die_with_parent(death_signal: DeathSignal) -> Callable[[], None] | None:
    """Return a `preexec_fn` that has the kernel send `death_signal` to the child when the thread that started it ends."""
    prctl = _prctl()
    if prctl is None:
        return None
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask_the_kernel


def let_forks_die_with_parent(death_signal: DeathSignal) -> None:
    """Have the kernel send `death_signal` to each process that this one, or a fork of it, forks from now on.

    Concerns `os.fork` and so `multiprocessing`; programs that are started get it by `die_with_parent`.
    """
    prctl = _prctl()
    if prctl is None:
        return
    parent = 0

    def remember() -> None:
        nonlocal parent
        parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != parent:
            os._exit(1)

    os.register_at_fork(before=remember, after_in_child=ask_the_kernel)


def take_in_orphans() -> None:
    """Become the parent of all descendants whose own parent died, so that their ends can be waited for."""
    prctl = _prctl()
    if prctl is not None:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
