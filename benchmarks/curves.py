"""How Grimoire scales, drawn of what the runs kept: throughput by conductors, waits by casts in flight, claims by casts that ended.

`python -m benchmarks.curves --write` draws them anew; so does each run with `--write`.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from benchmarks.measured import kept
from tests.functional.site import ROOT

DOCS = ROOT / "docs"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 332, 62, 160, 48, 64
COLOURS = ("#6d28d9", "#0f766e", "#b45309")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A picture: lines of series of one run, by what they are called in it. Both axes begin at 0; `logarithmic` is the lower one, from 1 on."""

    name: str
    title: str
    run: str
    lines: dict[str, str]
    below: str
    beside: str
    logarithmic: bool = False


CURVES = (
    Curve(
        name="scaling-conductors",
        title="Steps a second by conductors, on one machine",
        run="contest",
        lines={"steps_per_second": "Grimoire", "floor_per_second": "psycopg, a commit a step"},
        below="conductors, or connections",
        beside="steps/s",
    ),
    Curve(
        name="scaling-waiting",
        title="How long a cast waits, by casts in flight",
        run="waiting",
        lines={"start_ms": "request to call", "callback_ms": "callback to call", "claim_ms": "a claim"},
        below="casts that wait for their providers",
        beside="ms",
        logarithmic=True,
    ),
    Curve(
        name="scaling-history",
        title="A claim, by casts that have ended",
        run="history",
        lines={"claim_ms": "beside these", "claim_ms_empty": "beside none, meanwhile"},
        below="casts that have ended",
        beside="ms",
        logarithmic=True,
    ),
)


def picture(curve: Curve) -> str | None:
    """Return a curve as SVG; None when its run was not kept."""
    found = kept(curve.run)
    lines = {told: found["series"][name] for name, told in curve.lines.items() if found["series"].get(name)} if found else {}
    return _drawn(curve, lines, about=(found["how"], found["machine"])) if found and lines else None


def _drawn(curve: Curve, lines: dict[str, Points], *, about: Sequence[str]) -> str:
    most_x = max(x for points in lines.values() for x, _ in points)
    top = _round(max(y for points in lines.values() for _, y in points))

    def across(x: float) -> float:
        share = math.log10(max(x, 1)) / math.log10(max(most_x, 10)) if curve.logarithmic else x / most_x
        return LEFT + (WIDTH - LEFT - RIGHT) * share

    def down(y: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - y / top)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(curve.title)}</text>',
        f'<text x="{LEFT - 6}" y="{TOP - 8}" text-anchor="end" fill="#475569">{escape(curve.beside)}</text>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = down(top * share)
        parts += [
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#e2e8f0"/>',
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#475569">{top * share:,g}</text>',
        ]
    floor = HEIGHT - BOTTOM
    for x in sorted({x for points in lines.values() for x, _ in points}):
        parts.append(f'<text x="{across(x):.1f}" y="{floor + 16}" text-anchor="middle" fill="#475569">{x:,.0f}</text>')
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{floor + 32}" text-anchor="middle" fill="#475569">{escape(curve.below)}</text>'
    )
    labels = _apart([down(points[-1][1]) for points in lines.values()])
    for (told, points), colour, label in zip(lines.items(), COLOURS, labels, strict=False):
        places = [(across(x), down(y)) for x, y in points]
        parts.append(
            f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{WIDTH - RIGHT + 10}" y="{label + 4:.1f}" fill="{colour}">{escape(told)}</text>')
    for place, line in enumerate(reversed(about)):
        parts.append(f'<text x="12" y="{HEIGHT - 6 - 12 * place}" fill="#475569" font-size="9">{escape(line)}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _round(most: float) -> float:
    """Return the next greater 1, 2, 4 or 8 of some power of ten: its quarters are read easily."""
    power = 10.0 ** math.floor(math.log10(most))
    return next(power * step for step in (1, 2, 4, 8, 10) if power * step >= most)


def _apart(heights: Sequence[float], *, least: float = 15.0) -> list[float]:
    """Return heights moved down where they would overlap."""
    placed: dict[int, float] = {}
    last = -math.inf
    for place in sorted(range(len(heights)), key=heights.__getitem__):
        placed[place] = last = max(heights[place], last + least)
    return [placed[place] for place in range(len(heights))]


def write() -> None:
    """Draw what was measured, beside the documents."""
    for curve in CURVES:
        if svg := picture(curve):
            (DOCS / f"{curve.name}.svg").write_text(svg)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    parser.add_argument("--write", action="store_true", help="draw the pictures into docs/")
    if parser.parse_args().write:
        write()
    for curve in CURVES:
        print(
            f"{curve.name}: {'measured' if picture(curve) else f'not measured: python -m benchmarks.everything --only {curve.run} --write'}"
        )


if __name__ == "__main__":
    main()
