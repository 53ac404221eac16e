"""The figures of the long form, as it prints them and as it writes them into a document."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- long form: begin -->", "<!-- long form: end -->"
HEAD = (
    "| database | seed | casts | kills | restarts of the database | lost | called twice | unknown | orphaned | minutes |",
    "|---|---|---|---|---|---|---|---|---|---|",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one run came to. `ends` are the statuses in which casts ended."""

    database: str
    seed: int
    casts: int
    ends: Mapping[str, int]
    blows: Counter[str]
    lost: int
    twice: int
    unknown: Mapping[str, int]
    orphaned: Mapping[str, int]
    billed_calls: int
    seconds: float

    def row(self) -> str:
        """Return the line of the table."""
        kills = ", ".join(f"{self.blows[kind]} {kind}" for kind in ("worker", "cluster", "web", "provider", "forgetful provider"))
        restarts = ", ".join(f"{self.blows[kind]} {kind}" for kind in ("fast", "immediate") if self.blows[kind]) or "none"
        cells = [self.database, self.seed, _counted(self.ends), kills, restarts, self.lost, self.twice]
        cells += [_counted(self.unknown), _counted(self.orphaned), f"{self.seconds / 60:.1f}"]
        return f"| {' | '.join(map(str, cells))} |"

    def told(self) -> str:
        names = [name.strip() for name in HEAD[0].strip("|").split("|")]
        return "\n".join(f"{name}: {cell.strip()}" for name, cell in zip(names, self.row().strip("|").split("|"), strict=True))


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()) if count) or "none"


def write(figures: Figures, path: Path) -> None:
    """Put a run into the table of a document, in the place of an earlier one with this database, seed and number of casts."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    table, end, after = rest.partition(END)
    assert begin, f"{path} has no place for the table"
    assert end, f"{path} has no end of the table"
    key = re.escape(f"| {figures.database} | {figures.seed} | ")
    kept = [line for line in table.splitlines() if line.startswith("| ") and line != HEAD[0] and not re.match(key, line)]
    lines = [*HEAD, *sorted([*kept, figures.row()])]
    path.write_text(f"{before}{BEGIN}\n{chr(10).join(lines)}\n{END}{after}")
