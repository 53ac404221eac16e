"""How many streams there may be: in one process, and for one user."""

from collections import Counter
from threading import Lock


class UserStreamsError(Exception):
    """A user follows as many casts at once as one may."""

    wait = 10


class ProcessStreamsError(Exception):
    """One process serves as many streams as it may, or is about to stop."""

    wait = 10


class Seats:
    """Counts the streams of one process. Safe between threads: views take seats, the event loop gives them back."""

    def __init__(self, *, total: int, per_user: int) -> None:
        """Take how many there are, and how many of them one user may have."""
        self.total, self.per_user = total, per_user
        self._taken: Counter[int] = Counter()
        self._is_closed = False
        self._lock = Lock()

    def take(self, user_id: int) -> "Seat":
        """Take a seat. Raises UserStreamsError or ProcessStreamsError when there is none."""
        with self._lock:
            if self._is_closed:
                raise ProcessStreamsError("This server is about to stop. Ask again.")
            if self._taken[user_id] >= self.per_user:
                raise UserStreamsError(f"You have {self.per_user} streams open, and no more are allowed at once. Close one.")
            if self._taken.total() >= self.total:
                raise ProcessStreamsError(f"{self.total} streams are open here, and no more are served at once. Ask again later.")
            self._taken[user_id] += 1
        return Seat(self, user_id)

    def close(self) -> None:
        """Give away no more."""
        with self._lock:
            self._is_closed = True

    def taken(self) -> int:
        with self._lock:
            return self._taken.total()

    def give_back(self, user_id: int) -> None:
        with self._lock:
            self._taken[user_id] -= 1
            if not self._taken[user_id]:
                del self._taken[user_id]


class Seat:
    """One seat that was taken. It is given back once, however often that is asked."""

    def __init__(self, seats: Seats, user_id: int) -> None:
        """Take whose it is."""
        self._seats: Seats | None = seats
        self._user_id = user_id

    def give_back(self) -> None:
        if self._seats is not None:
            self._seats.give_back(self._user_id)
            self._seats = None
