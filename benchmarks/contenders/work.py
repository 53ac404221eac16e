"""The work that is the same for all, and the form in which a contender is asked and answers."""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

STEPS = 5
# Some 200 bytes go into each step and come out of it.
TEXT = "durable " * 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a contender is to do: on which database, how many workflows at once, how many one by one, and in which `mode` of its own."""

    url: str
    workflows: int
    alone: int
    mode: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What it took, in seconds: all workflows at once, and each of those that ran alone, where that was asked."""

    many: float
    alone: list[float] = field(default_factory=list)


def step(text: str) -> str:
    """Do nothing, and say something else than what was said: an answer cannot be mistaken for its question."""
    return text[1:] + text[:1]


def outcome() -> str:
    """Return what the last step of a workflow returns."""
    text = TEXT
    for _ in range(STEPS):
        text = step(text)
    return text


def contend(measure: Callable[[Asked], Measured]) -> None:
    """Read what is asked from the command line, measure, and print the answer as one line of JSON, the last one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True, help="DATABASE_URL of a database of its own")
    parser.add_argument("--workflows", type=int, required=True)
    parser.add_argument("--alone", type=int, required=True)
    parser.add_argument("--mode", default="")
    asked = Asked(**vars(parser.parse_args()))
    print(json.dumps(asdict(measure(asked))), flush=True)


def wait_until(look: Callable[[], bool], *, pause: float, seconds: float = 600.0) -> float:
    """Look until something holds, and return when that was seen, on the monotonic clock.

    Raises:
        TimeoutError: it does not hold after so many seconds.
    """
    give_up_at = time.monotonic() + seconds
    while not look():
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"Not done after {seconds:.0f} s.")
        time.sleep(pause)
    return time.monotonic()
