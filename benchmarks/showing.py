"""The figures of a contest as a table, as Markdown and as a picture."""

import math
from collections.abc import Sequence
from html import escape

from rich.table import Table

from benchmarks.contest import Line

BAR, LEFT, WIDTH, TOP = 24, 260, 860, 44
COLOURS = {"ours": "#6d28d9", "other": "#94a3b8", "floor": "#0f766e"}


def table(lines: Sequence[Line]) -> Table:
    """Return what a terminal shows. The ratio is to the first line."""
    shown = Table(title="Workflows of five durable steps")
    for name in ("", "steps/s", "noise", "ratio", "alone", "ratio"):
        shown.add_column(name, justify="left" if not name else "right")
    for cells in rows(lines):
        shown.add_row(*cells)
    return shown


def rows(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Return the cells of each line: what was done at once, how far its rounds lie apart, how many times that is of the first; and alone."""
    first = lines[0]
    return [
        (
            line.contender.name,
            f"{line.rate:,.0f}",
            f"± {line.noise / 2:.0%}",
            f"{line.rate / first.rate:.2f}",
            "" if line.milliseconds is None else f"{line.milliseconds:.1f} ms",
            "" if line.milliseconds is None or first.milliseconds is None else f"{line.milliseconds / first.milliseconds:.2f}",
        )
        for line in lines
    ]


def markdown(lines: Sequence[Line], *, about: str) -> str:
    """Return the table, below a line that says how it was measured."""
    head = ["| contender | steps/s | noise | of the first | one alone | of the first |", "|---|--:|--:|--:|--:|--:|"]
    return "\n".join([about, "", *head, *(f"| {' | '.join(cells)} |" for cells in rows(lines))])


def picture(lines: Sequence[Line], *, about: str) -> str:
    """Return an SVG of the steps a second, one bar for each, as long as the logarithm of the number; a line marks its rounds."""
    low = 10 ** math.floor(math.log10(min(min(line.rates) for line in lines)))
    high = max(max(line.rates) for line in lines)

    def place(rate: float) -> float:
        return LEFT + (WIDTH - LEFT - 90) * (math.log10(rate / low) / max(math.log10(high / low), 1e-9))

    height = TOP + BAR * len(lines) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="24" font-size="15" font-weight="bold">Durable steps a second, many workflows at once (logarithmic)</text>',
    ]
    for number, line in enumerate(lines):
        top, middle = TOP + BAR * number, TOP + BAR * number + BAR * 0.6
        end, least, most = place(line.rate), place(min(line.rates)), place(max(line.rates))
        parts += [
            f'<text x="{LEFT - 8}" y="{middle:.0f}" text-anchor="end">{escape(line.contender.name)}</text>',
            f'<rect x="{LEFT}" y="{top + 3}" width="{end - LEFT:.1f}" height="{BAR - 8}" fill="{COLOURS[line.contender.kind]}"/>',
            f'<path d="M{least:.1f} {top + BAR / 2 - 1:.1f}H{most:.1f}" stroke="#111827" stroke-width="1.5"/>',
            f'<text x="{most + 8:.1f}" y="{middle:.0f}">{line.rate:,.0f}</text>',
        ]
    parts += [f'<text x="12" y="{height - 10}" fill="#475569" font-size="11">{escape(about)}</text>', "</svg>"]
    return "\n".join(parts) + "\n"
