"""What a single request is told to suffer: by its headers, by its inputs, or by a rule that was set before."""

import json
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

PREFIX = "x-fake-"
LOST = ("before", "after")
PLACES = ("submit", "upload", "read", "cancel", "file", "any")
MAX_COPIES = 1000
ROUTES = ("normal", "lose", "double", "late", "reorder")
MAX_RULES = 10_000
_NAME = re.compile(r"[A-Za-z0-9-]{1,100}")
_VALUE = re.compile(r"[\x20-\x7e]{0,2000}")


Check = Callable[[str, Any], Any]


class BadInstruction(ValueError):
    """An instruction that cannot be followed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What to do with one request. What is left out follows the settings.

    `latency`: seconds of the job or the answer. `fail`: the job fails in these words. `status`: the request is refused
    so, with `retry_after` seconds if given, and nothing is billed. `hang`: it is never answered, `drop`: the
    connection is cut, each `before` or `after` the work was accepted, and billed if it is no job. `delay`: so many
    seconds after that comes the answer. `headers`: what else stands in its head. `garbage`: it is no JSON, the work is
    accepted. `lose`: the job is accepted, and forgotten. `hold`: it does not end before it is released. `webhooks`:
    how they go; the last one as so many `copies` at once; with `webhook_first` before the answer to the submission.
    `output`: what the job gives.
    """

    latency: float | None = None
    fail: str = ""
    status: int = 0
    retry_after: float | None = None
    hang: str = ""
    drop: str = ""
    delay: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    garbage: bool = False
    lose: bool = False
    hold: bool = False
    webhooks: str = ""
    copies: int = 1
    webhook_first: bool = False
    output: Any = None

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Instruction":
        """Read an instruction from JSON values by name.

        Raises:
            BadInstruction: a name is unknown, or a value is not of its kind.
        """
        values: dict[str, Any] = {}
        for name, value in told.items():
            plain = name.replace("-", "_")
            if plain not in CHECKS:
                raise BadInstruction(f"{name} is no instruction. Known are: {', '.join(each.name for each in fields(cls))}.")
            values[plain] = CHECKS[plain](plain, value)
        return cls(**values)

    def over(self, other: "Instruction") -> "Instruction":
        """Return this instruction, with the other's where this one says nothing."""
        said = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) != getattr(NOTHING, each.name)}
        return replace(other, **said)


NOTHING = Instruction()


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _seconds(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise BadInstruction(f"{name} is {value!r}, which is no number of seconds.")
    return float(value)


def _between(least: int, most: int) -> Check:
    def check(name: str, value: Any) -> int:
        if not is_whole(value) or not least <= value <= most:
            raise BadInstruction(f"{name} is {value!r}, which is no whole number from {least} to {most}.")
        return int(value)

    return check


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadInstruction(f"{name} is {value!r}, which is neither true nor false.")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadInstruction(f"{name} is {value!r}, which is no text.")
    return value


def _one_of(*choices: str) -> Check:
    def check(name: str, value: Any) -> str:
        if value not in ("", *choices):
            raise BadInstruction(f"{name} is {value!r}. Known are: {', '.join(choices)}.")
        return str(value)

    return check


def _hang(name: str, value: Any) -> str:
    return str(_one_of(*LOST)(name, {True: "before", False: ""}[value] if isinstance(value, bool) else value))


def _headers(name: str, value: Any) -> dict[str, str]:
    pairs = list(value.items()) if isinstance(value, Mapping) else [("", "")]
    if not all(isinstance(text, str) and _NAME.fullmatch(each) and _VALUE.fullmatch(text) for each, text in pairs):
        raise BadInstruction(f"{name} is {value!r}, which is no object of headers and their texts.")
    return dict(pairs)


# By the name of each instruction, what makes its value from one of JSON. Each raises BadInstruction.
CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(("latency", "retry_after", "delay"), _seconds),
    **dict.fromkeys(("garbage", "lose", "hold", "webhook_first"), _switch),
    "status": _between(400, 599),
    "copies": _between(1, MAX_COPIES),
    "fail": _text,
    "hang": _hang,
    "drop": _one_of(*LOST),
    "webhooks": _one_of(*ROUTES),
    "headers": _headers,
    "output": lambda _name, value: value,
}


def told_by(headers: Mapping[str, str], inputs: Any) -> Instruction:
    """Return what headers and inputs say by names that begin with `x-fake-`; headers win. Raises BadInstruction."""
    by_headers = {name[len(PREFIX) :]: _json_or_text(value) for name, value in headers.items() if name.startswith(PREFIX)}
    by_inputs = {}
    if isinstance(inputs, Mapping):
        by_inputs = {name[len(PREFIX) :]: value for name, value in inputs.items() if isinstance(name, str) and name.startswith(PREFIX)}
    return Instruction.read(by_headers).over(Instruction.read(by_inputs))


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


@dataclass(slots=True, kw_only=True)
class Rule:
    """An instruction for the next `count` requests of a dialect at a place whose address or body holds `match`, until a time of the clock."""

    do: Instruction
    dialect: str = ""
    place: str = "submit"
    match: str = ""
    count: float = 1
    until: float = math.inf

    def fits(self, *, dialect: str, place: str, text: str) -> bool:
        return self.dialect in ("", dialect) and self.place in ("any", place) and self.match in text


class Rules:
    """The rules that were set and are not used up, in the order in which they came."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without any."""
        self._clock = clock
        self._rules: list[Rule] = []

    def add(self, told: Mapping[str, Any]) -> Rule:
        """Set a rule from JSON: `{"dialect", "place", "match", "count", "seconds", "do": {...}}`.

        One with `seconds` holds for so long, and for any number of requests unless there is a `count`; else `count` is 1.

        Raises:
            BadInstruction: it is no rule.
        """
        unknown = set(told) - {"dialect", "place", "match", "count", "seconds", "do"}
        if unknown or not isinstance(told.get("do"), Mapping):
            raise BadInstruction(
                f"{', '.join(sorted(unknown))} is unknown." if unknown else "A rule needs `do`, an object with instructions."
            )
        texts = {name: told[name] for name in ("dialect", "place", "match") if name in told}
        if not all(isinstance(text, str) for text in texts.values()) or texts.get("place", "any") not in PLACES:
            raise BadInstruction(f"`place` is one of {', '.join(PLACES)}; `dialect` and `match` are texts.")
        count = told.get("count", math.inf if "seconds" in told else 1)
        if count != math.inf and not (is_whole(count) and count >= 1):
            raise BadInstruction("`count` is a whole number from 1 on.")
        seconds = _seconds("seconds", told["seconds"]) if "seconds" in told else math.inf
        if not seconds:
            raise BadInstruction("`seconds` is a number above 0.")
        self._drop_what_is_over()
        if len(self._rules) >= MAX_RULES:
            raise BadInstruction(f"There are {MAX_RULES} rules already.")
        rule = Rule(do=Instruction.read(told["do"]), count=count, until=self._clock() + seconds, **texts)
        self._rules.append(rule)
        return rule

    def take(self, *, dialect: str, place: str, path: str, body: bytes = b"") -> Instruction:
        """Return what the first rule that fits says, and count it as used."""
        self._drop_what_is_over()
        if not self._rules:
            return NOTHING
        text = f"{path}\n{body.decode(errors='replace')}"
        for rule in self._rules:
            if rule.fits(dialect=dialect, place=place, text=text):
                rule.count -= 1
                if not rule.count:
                    self._rules.remove(rule)
                return rule.do
        return NOTHING

    def _drop_what_is_over(self) -> None:
        now = self._clock()
        self._rules = [rule for rule in self._rules if rule.until > now]

    def left(self) -> int:
        """Return how many rules are neither over nor used up."""
        self._drop_what_is_over()
        return len(self._rules)

    def clear(self) -> int:
        """Forget all rules, and return how many there were."""
        count = len(self._rules)
        self._rules.clear()
        return count
