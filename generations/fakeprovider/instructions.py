"""What a single request is told to suffer: by its headers, by its inputs, or by a rule that was set before."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

PREFIX = "x-fake-"
DROPS = ("", "before", "after")
PLACES = ("submit", "read", "cancel", "file")
SWITCHES = ("hang", "garbage", "lose", "hold")
ROUTES = ("", "normal", "lose", "double", "late", "reorder")
MAX_RULES = 10_000


class BadInstruction(ValueError):
    """An instruction that cannot be followed; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What to do with one request. What is left out follows the settings.

    `latency`: seconds of the job or the answer. `fail`: the job fails in these words. `status`: the request is refused
    so, with `retry_after` seconds if given, and nothing is billed. `hang`: it is never answered. `drop`: the
    connection is cut, `before` or `after` the work was accepted. `garbage`: the answer is no JSON, the work is
    accepted. `lose`: the job is accepted, and forgotten. `hold`: it does not end before it is released. `webhooks`:
    how they go. `output`: what the job gives.
    """

    latency: float | None = None
    fail: str = ""
    status: int = 0
    retry_after: float | None = None
    hang: bool = False
    drop: str = ""
    garbage: bool = False
    lose: bool = False
    hold: bool = False
    webhooks: str = ""
    output: Any = None

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "Instruction":
        """Read an instruction from JSON values by name.

        Raises:
            BadInstruction: a name is unknown, or a value is not of its kind.
        """
        known = [field.name for field in fields(cls)]
        values: dict[str, Any] = {}
        for name, value in told.items():
            plain = name.replace("-", "_")
            if plain not in known:
                raise BadInstruction(f"{name} is no instruction. Known are: {', '.join(known)}.")
            values[plain] = _checked(plain, value)
        return cls(**values)

    def over(self, other: "Instruction") -> "Instruction":
        """Return this instruction, with the other's where this one says nothing."""
        said = {field.name: value for field in fields(self) if (value := getattr(self, field.name)) != getattr(NOTHING, field.name)}
        return replace(other, **said)


NOTHING = Instruction()


def _checked(name: str, value: Any) -> Any:
    if name == "output":
        return value
    if name in ("latency", "retry_after"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise BadInstruction(f"{name} is {value!r}, which is no number of seconds.")
        return float(value)
    if name == "status":
        if isinstance(value, bool) or not isinstance(value, int) or not 400 <= value <= 599:  # noqa: PLR2004 - errors of HTTP
            raise BadInstruction(f"{name} is {value!r}, which is no status from 400 to 599.")
        return value
    if name in SWITCHES:
        if not isinstance(value, bool):
            raise BadInstruction(f"{name} is {value!r}, which is neither true nor false.")
        return value
    if not isinstance(value, str):
        raise BadInstruction(f"{name} is {value!r}, which is no text.")
    choices = {"drop": DROPS, "webhooks": ROUTES}.get(name)
    if choices and value not in choices:
        raise BadInstruction(f"{name} is {value!r}. Known are: {', '.join(filter(None, choices))}.")
    return value


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
    """An instruction for the next `count` requests of a dialect at a place whose address or body holds `match`."""

    do: Instruction
    dialect: str = ""
    place: str = "submit"
    match: str = ""
    count: int = 1

    def fits(self, *, dialect: str, place: str, text: str) -> bool:
        return self.count > 0 and self.dialect in ("", dialect) and self.place == place and self.match in text


class Rules:
    """The rules that were set and are not used up, in the order in which they came."""

    def __init__(self) -> None:
        """Begin without any."""
        self._rules: list[Rule] = []

    def add(self, told: Mapping[str, Any]) -> Rule:
        """Set a rule from JSON: `{"dialect", "place", "match", "count", "do": {...}}`. Raises BadInstruction."""
        unknown = set(told) - {"dialect", "place", "match", "count", "do"}
        if unknown or not isinstance(told.get("do"), Mapping):
            raise BadInstruction(
                f"{', '.join(sorted(unknown))} is unknown." if unknown else "A rule needs `do`, an object with instructions."
            )
        rule = Rule(
            do=Instruction.read(told["do"]), **{name: told[name] for name in ("dialect", "place", "match", "count") if name in told}
        )
        if rule.place not in PLACES or not isinstance(rule.dialect, str) or not isinstance(rule.match, str):
            raise BadInstruction(f"`place` is one of {', '.join(PLACES)}; `dialect` and `match` are texts.")
        if not isinstance(rule.count, int) or rule.count < 1:
            raise BadInstruction("`count` is a whole number from 1 on.")
        if len(self._rules) >= MAX_RULES:
            raise BadInstruction(f"There are {MAX_RULES} rules already.")
        self._rules.append(rule)
        return rule

    def take(self, *, dialect: str, place: str, text: str) -> Instruction:
        """Return what the first rule that fits says, and count it as used."""
        for rule in self._rules:
            if rule.fits(dialect=dialect, place=place, text=text):
                rule.count -= 1
                if not rule.count:
                    self._rules.remove(rule)
                return rule.do
        return NOTHING

    def clear(self) -> int:
        """Forget all rules, and return how many there were."""
        count = len(self._rules)
        self._rules.clear()
        return count
