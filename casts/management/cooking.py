"""A watched cook in a terminal: a bar that moves, or a line now and then where there is no terminal."""

from collections.abc import Callable
from decimal import Decimal

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from casts.clock import database_now
from casts.cooks.previewing import Preview
from casts.cooks.progress import CookProgress, progress_of
from casts.management.display import printable
from casts.models import Cook, CookStatus
from casts.words import dollars, told_of

LOOK_SECONDS = 0.5
# Plain lines tell of so many percent at a time.
TOLD_PERCENT = 5
COLOURS = {"running": "cyan", "paused": "yellow", "stopping": "yellow", "stopped": "yellow", "finished": "green"}
STANDING = (CookStatus.PAUSED, CookStatus.STOPPED, CookStatus.FINISHED)


def watch(*, cook_id: int, console: Console, pause: Callable[[float], None]) -> tuple[Cook, CookProgress]:
    """Show a cook until it goes on no more, and return how it stands. `pause` waits so many seconds, and may raise."""
    show, end = _shown(console)
    try:
        while True:
            cook = Cook.objects.select_related("collection").get(pk=cook_id)
            progress = progress_of(cook, now=database_now())
            show(cook, progress)
            if cook.status in STANDING and not progress.cooking:
                return cook, progress
            pause(LOOK_SECONDS)
    finally:
        end()


def _shown(console: Console) -> tuple[Callable[[Cook, CookProgress], None], Callable[[], None]]:
    if console.is_terminal:
        live = Live(console=console, auto_refresh=False)
        live.start()
        return lambda cook, progress: live.update(picture(cook, progress), refresh=True), live.stop
    told: set[tuple[str, int]] = set()

    def line(cook: Cook, progress: CookProgress) -> None:
        stands = (cook.status, progress.percent // TOLD_PERCENT)
        if stands not in told:
            told.add(stands)
            console.print(plain(cook, progress), markup=False, highlight=False, soft_wrap=True)

    return line, lambda: None


def picture(cook: Cook, progress: CookProgress) -> Group:
    head = Text(printable(cook.collection.name), style="bold").append(f"  cook {cook.pk}  ", style="dim")
    head.append(cook.status, style=COLOURS.get(cook.status, ""))
    if cook.reason:
        head.append(f"  {cook.reason}", style="yellow")
    return Group(head, ProgressBar(total=progress.total, completed=progress.settled, width=60), Text(told_of(progress)))


def plain(cook: Cook, progress: CookProgress) -> str:
    """Return how a cook stands, on one line."""
    return f"cook {cook.pk}: {cook.status}, {told_of(progress)}" + (f": {cook.reason}" if cook.reason else "")


def show_preview(preview: Preview, *, console: Console) -> None:
    """Print what a cook would make."""
    for piece, inputs in preview.pieces:
        traits = ", ".join(f"{name}: {value}" for name, value in piece.traits.items()) or f"{piece.item}"
        console.print(f"{piece.index:>5}  {printable_all(traits)}", markup=False, highlight=False, soft_wrap=True)
        prompt = inputs.get("prompt")
        if isinstance(prompt, str):
            console.print(f"       {printable_all(prompt)}", style="dim", markup=False, highlight=False, soft_wrap=True)
    if preview.rarity:
        console.print(rarity_table(preview))
    console.print(quoted(preview), markup=False, highlight=False, soft_wrap=True)


def rarity_table(preview: Preview) -> Table:
    table = Table("category", "value", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("asked", "drawn", "pieces"):
        table.add_column(name, justify="right")
    for row in preview.rarity:
        asked, share = ("" if part is None else f"{float(part):.1%}" for part in (row.asked, row.share))
        table.add_row(Text(row.category), Text(row.value), asked, share, str(row.drawn))
    return table


def quoted(preview: Preview) -> str:
    """Return in words what the whole is expected to cost."""
    supply = "" if preview.supply is None else f" of at most {preview.supply:,}"
    if preview.total_usd is None:
        return f"{preview.wanted:,} pieces{supply}. What they cost is not known: {', '.join(preview.quote.unknown)} has told no cost yet."
    each = preview.quote.each_usd or Decimal(0)
    return f"{preview.wanted:,} pieces{supply}, expected to cost {dollars(preview.total_usd)} ({dollars(each)} each)."


def printable_all(text: str) -> str:
    """Return a text on one line and without what would steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)
