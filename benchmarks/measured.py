"""What load runs measured, as JSON in `docs/measured`: documents and pictures are made of it, never by hand."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.functional.site import ROOT

FOLDER = ROOT / "docs" / "measured"


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came of a run: `figures` by name, `series` of points (x, y) to draw, and what does not hold."""

    figures: dict[str, float] = field(default_factory=dict)
    series: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def keep(name: str, outcome: Outcome, *, how: str) -> None:
    """Write down what a run measured, and how; a run before it is forgotten."""
    FOLDER.mkdir(exist_ok=True)
    kept = {
        "how": how,
        "machine": machine(),
        "figures": outcome.figures,
        "series": {name: points for name, points in outcome.series.items() if points},
    }
    (FOLDER / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")


def kept(name: str) -> Mapping[str, Any] | None:
    """Return what was kept of a run; None when there is nothing."""
    file = FOLDER / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else None


def machine() -> str:
    """Return on what and when figures were taken, for whoever reads them later."""
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f} at the end; {time.strftime('%Y-%m-%d')}"


def share_below(values: Sequence[float], share: float) -> float:
    """Return the value that so great a share of the values does not exceed: 0.5 is the median, 0.99 what 1 of 100 exceeds."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
