"""Whose gates the calls of a tool pass: its own and, if it has one, its provider's."""

from collections.abc import Iterator

from casts.models import BreakerState, Gate
from spells.models import Provider, Tool

Owner = Tool | Provider


def gate_of(owner: Owner) -> Gate | None:
    """Return the gate that was read with a tool or a provider, if it has one."""
    gate: Gate | None = getattr(owner, "gate", None)
    return gate


def owners_of(tool: Tool) -> Iterator[Owner]:
    yield tool
    if tool.provider is not None:
        yield tool.provider


def answerable(tool: Tool) -> Owner:
    """Return who answers for the outages of a tool, and is given rest when it asks for it: its provider, or else it alone."""
    return tool.provider or tool


def is_gated(owner: Owner) -> bool:
    gate = gate_of(owner)
    return owner.max_in_flight is not None or owner.max_per_minute is not None or (gate is not None and not gate.is_free)


def is_away(tool: Tool) -> bool:
    """Tell whether the breaker that stands before a tool was not closed when the tool was read."""
    gate = gate_of(answerable(tool))
    return gate is not None and gate.state != BreakerState.CLOSED


def breaker_settings(owner: Owner) -> Provider:
    """Return how the breaker before a tool or a provider is set. That of a tool without a provider is set as a provider begins."""
    return owner if isinstance(owner, Provider) else owner.provider or Provider()
