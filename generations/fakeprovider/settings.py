"""How the fake provider behaves, unless a request is told otherwise (see `instructions`)."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

DEFAULT_KEY = "fake-key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From `least` to `most` seconds."""

    least: float
    most: float

    @classmethod
    def read(cls, text: str) -> "Span":
        """Read `1..20`, or `3` for always three.

        Raises:
            ValueError: it is no span; the message says what is expected.
        """
        least, dots, most = text.partition("..")
        try:
            span = cls(least=float(least), most=float(most if dots else least))
        except ValueError as error:
            raise ValueError(f"{text!r} is no span of seconds, like 1..20 or 3.") from error
        if not 0 <= span.least <= span.most <= 86_400:  # noqa: PLR2004 - a day; also refuses what is not a number
            raise ValueError(f"{text!r} is no span of seconds: from the shorter to the longer, at most a day.")
        return span

    def at(self, share: float) -> float:
        """Return the seconds at a share from 0 to 1, in whole microseconds."""
        return round(self.least + (self.most - self.least) * share, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that can be set. Shares are from 0 to 1, durations are seconds.

    `latency` is how long a job takes, `answer_latency` how long an answer that is no job. `fail` is the share of jobs
    that fail; the same request fails once only, unless `fail_always`. `lose_webhooks` and its neighbours are shares of
    the jobs whose webhooks go that way. `retry_pace` scales the waits between a sender's tries: 0.01 for tests.
    `gather` is how many jobs come together before the first of them begins. `forget_seconds` is how long an ended job can be asked for, `file_seconds` how long a file.
    `log` is where bills are written down, `jobs` where the jobs are that outlive the process. Of ended jobs only so many are kept that their requests have `max_kept_bytes` together.
    """

    seed: int = 1
    latency: Span = Span(least=1, most=5)
    answer_latency: Span = Span(least=0, most=0)
    fail: float = 0.0
    fail_always: bool = False
    lose_webhooks: float = 0.0
    double_webhooks: float = 0.0
    late_webhooks: float = 0.0
    reorder_webhooks: float = 0.0
    late: Span = Span(least=5, most=30)
    retry_pace: float = 1.0
    gather: int = 0
    forget_seconds: float = 3600.0
    file_seconds: float = 3600.0
    max_kept_bytes: int = 256 * 2**20
    keys: frozenset[str] = frozenset({DEFAULT_KEY})
    openai_webhook: str = ""
    old_comfydeploy_words: bool = False
    painted: bool = False
    max_picture_side: int = 1024
    log: Path | None = None
    jobs: Path | None = None
    fsync: bool = False

    def __post_init__(self) -> None:
        """Check what depends on each other. Raises ValueError."""
        if self.lose_webhooks + self.double_webhooks + self.late_webhooks + self.reorder_webhooks > 1:
            raise ValueError("The webhooks that are lost, doubled, late and reordered are more than all.")

    @property
    def webhook_secret(self) -> str:
        """Return the secret of Standard Webhooks. It follows from the seed, so that it outlives a restart."""
        return "whsec_" + base64.b64encode(self.derived("webhooks")).decode()

    def derived(self, what: str) -> bytes:
        """Return 32 bytes that follow from the seed."""
        return hashlib.sha256(f"fake provider {self.seed}: {what}".encode()).digest()

    def chance(self, number: int, what: str) -> float:
        """Return the share, from 0 to below 1, that was drawn for a job's number: the same for the same seed."""
        drawn = hashlib.sha256(f"{self.seed}\n{number}\n{what}".encode()).digest()
        return int.from_bytes(drawn[:6]) / 2**48
