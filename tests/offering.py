"""Adapters of another package, as one that is installed would offer them: by an entry point, to children too."""

import os
import sys
from pathlib import Path

import pytest

from generations.isolation import ROOT
from generations.tools import registry
from generations.tools.contract import Adapter


def offer(adapter: type[Adapter], *, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a package in `folder` that offers this adapter, for this process and those that it starts."""
    info = folder / "offered-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{adapter.key} = {adapter.__module__}:{adapter.__name__}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    registry.forget()
