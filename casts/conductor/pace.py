"""How a conductor spends its time."""

from dataclasses import dataclass

from django.conf import settings

from casts.engine import LEASE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a conductor spends its time, in seconds.

    `grace` is how long calls may go on after it was asked to stop, `overtime` after its `shift` is over; `linger` is
    how far ahead a shift looks before it ends early.
    """

    lease: float = LEASE_SECONDS
    poll: float = 1.0
    bells: float = 5.0
    grace: float = 20.0
    shift: float | None = None
    overtime: float = 300.0
    linger: float = 5.0

    @classmethod
    def of_settings(cls, **values: float | None) -> "Pace":
        """Return the pace that suits the settings."""
        return cls(**{"lease": settings.LEASE_SECONDS, **values})  # type: ignore[arg-type]
