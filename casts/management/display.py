"""A watched cast in a terminal: a table that moves, or plain lines where there is no terminal."""

from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from casts import watching
from casts.models import CastStatus
from casts.watching import StepLine, Watched
from casts.words import dollars

LOOK_SECONDS = 0.2
MAX_NOTE = 200
MAX_STAGE = 60
BAR_CELLS = 10
# Plain lines tell of a call each time that it has got on so far.
TOLD_PERCENT = 25
COLOURS = {
    "succeeded": "green",
    "skipped": "green",
    "running": "cyan",
    "submitted": "cyan",
    "retrying": "yellow",
    "paused": "yellow",
    "cancelled": "yellow",
    "unknown": "red",
    "failed": "red",
}


class Display(Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, watched: Watched) -> None: ...


class MovingTable:
    """One table that is written over. It moves only when it is shown: there is no thread."""

    def __init__(self, console: Console) -> None:
        """Take the terminal."""
        self._live = Live(console=console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, watched: Watched) -> None:
        self._live.update(table(watched), refresh=True)


class PlainLines:
    """A line each time that a step has got on."""

    def __init__(self, console: Console) -> None:
        """Take where the lines go."""
        self._console = console
        self._told: dict[str, tuple[str, int, int]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, watched: Watched) -> None:
        for step in watched.steps:
            stands = (step.state, step.done, int(step.percent or 0) // TOLD_PERCENT)
            if step.state != watching.WAITING and self._told.get(step.key) != stands:
                self._told[step.key] = stands
                self._console.print(plain(step), markup=False, highlight=False, soft_wrap=True)


def display(console: Console) -> Display:
    return MovingTable(console) if console.is_terminal else PlainLines(console)


def watch(*, cast_id: UUID, console: Console, pause: Callable[[float], None]) -> Watched:
    """Show a cast until it has ended, and return how. `pause` waits so many seconds, and may raise to stop the watching."""
    with display(console) as shown:
        while True:
            watched = watching.look(cast_id=cast_id)
            shown.show(watched)
            if watched.has_ended:
                return watched
            pause(LOOK_SECONDS)


def table(watched: Watched) -> Table:
    columns = Table("step", "tool", "state", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("items", "time", "cost"):
        columns.add_column(name, justify="right")
    columns.add_column("")
    for step in watched.steps:
        state = Text(step.state, style=COLOURS.get(step.state, "dim"))
        word = Text(step.note[:MAX_NOTE]) if step.note else at_work(step)
        columns.add_row(Text(step.key), Text(step.tool), state, items(step), seconds(step.took), dollars(step.cost_usd), word)
    total = Text(watched.status, style=COLOURS.get(watched.status, ""))
    columns.add_row(
        Text(watched.spell, style="bold"), "", total, f"{watched.percent} %", seconds(watched.took), dollars(watched.cost_usd), ""
    )
    return columns


def at_work(step: StepLine) -> Text:
    """Return a bar, the percent and the stage of a step whose calls tell of them."""
    words = Text()
    if step.percent is not None:
        full = round(step.percent / 100 * BAR_CELLS)
        words.append("━" * full, style="cyan").append("━" * (BAR_CELLS - full), style="bright_black").append(f" {step.percent:.0f} %  ")
    return words.append(printable(step.stage), style="dim")


def printable(stage: str) -> str:
    """Return what a provider said of a stage, on one line and without what would steer a terminal."""
    line = " ".join(stage.split())
    return "".join(character for character in line if character.isprintable())[:MAX_STAGE]


def plain(step: StepLine) -> str:
    percent = "" if step.percent is None else f"{step.percent:.0f} %"
    word = step.note[:MAX_NOTE] if step.note else printable(step.stage)
    parts = [f"{step.key} ({step.tool}): {step.state}", items(step), percent, seconds(step.took), dollars(step.cost_usd), word]
    return ", ".join(part for part in parts if part)


def items(step: StepLine) -> str:
    return f"{step.done}/{'?' if step.total is None else step.total}"


def seconds(took: timedelta | None) -> str:
    if took is None:
        return ""
    whole, tenths = divmod(round(max(0.0, took.total_seconds()) * 10), 10)
    return f"{whole // 60}:{whole % 60:02}" if whole >= 60 else f"{whole}.{tenths} s"  # noqa: PLR2004 - a minute


def verdict(watched: Watched) -> str:
    """Return in words how a cast ended."""
    sums = f"{seconds(watched.took)}, {dollars(watched.cost_usd)}"
    if watched.status == CastStatus.SUCCEEDED:
        return f"The cast succeeded ({sums})."
    if watched.status == CastStatus.CANCELLED:
        return f"The cast was cancelled ({sums}): {watched.reason}"
    error = watched.error or {}
    place = f" at step {error['step']}" if error.get("step") else ""
    return f"The cast failed{place} ({sums}): {error.get('message', 'no reason was kept')}"
