"""The settings of a process on which faults are injected: Grimoire's own, and the faults that its environment names."""

from config.settings import *  # noqa: F403 - all of them, as they are
from tests.faults.inside import faults

faults.install()
