"""How a view opens a stream: it answers with the first events, and says here that the response goes on after them."""

from dataclasses import dataclass
from threading import Lock

from django.http import HttpRequest

from .audience import AnySeen, Origin, Subject
from .seats import Seat, Seats

# The name under which an ASGI scope brings an `Opening` to the view.
EXTENSION = "grimoire.streams"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A stream to go on with: of which cast or cook, with addresses at which origin, after what its client has seen."""

    subject: Subject
    origin: Origin
    seen: AnySeen


class Opening:
    """Stands between a view, on a thread of its own, and the branch that will serve the stream."""

    def __init__(self, seats: Seats) -> None:
        """Take where seats are had."""
        self.opened: Opened | None = None
        self._seats = seats
        self._seat: Seat | None = None
        self._is_closed = False
        self._lock = Lock()

    def take_seat(self, user_id: int) -> None:
        """Take a seat for the stream. Raises UserStreamsError or ProcessStreamsError."""
        seat = self._seats.take(user_id)
        with self._lock:
            if self._is_closed:
                seat.give_back()
            else:
                self._seat = seat

    def close(self) -> None:
        """Give the seat back: the stream has ended, or never began. A view that is still at work gets none any more."""
        with self._lock:
            self._is_closed = True
            seat, self._seat = self._seat, None
        if seat is not None:
            seat.give_back()


def opening_of(request: HttpRequest) -> Opening | None:
    """Return where a request can open a stream; None where nobody would go on with it, as under WSGI."""
    extensions = getattr(request, "scope", {}).get("extensions") or {}
    opening = extensions.get(EXTENSION)
    return opening if isinstance(opening, Opening) else None
