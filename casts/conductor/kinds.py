"""All errands that conductors do."""

from .alert_mails import AlertMails
from .callbacks import Callbacks, Taker
from .cancellations import Cancellations
from .cooks import Cooks
from .errands import Kind
from .exports import Exports
from .notifications import Notifications
from .threads import Threads
from .watch import Watch


def errand_kinds(*, threads: Threads, taker: Taker | None = None) -> list[Kind]:
    """Return each kind of errand once. `threads` are for what blocks, the `taker` looks at casts of which callbacks tell."""
    return [
        Callbacks(threads=threads, taker=taker),
        Cancellations(threads=threads),
        Cooks(),
        Exports(threads=threads.exports),
        Notifications(threads=threads.mails),
        AlertMails(threads=threads.mails),
        Watch(),
    ]
