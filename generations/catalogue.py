"""The catalogue of tools: the rows of `Tool` that code declares, kept in step with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from django.db import transaction

from generations.tools import registry
from generations.tools.definition import ToolDefinition
from generations.tools.examples import example_definitions
from spells.models import Provider, Tool

# What the code knows best. All else is the operator's, once the row is there.
DECLARED = ("name", "description", "category", "adapter", "input_schema", "output_schema", "effects", "recovery")
INITIAL = (
    "config",
    "pricing",
    "max_attempts",
    "backoff_seconds",
    "max_backoff_seconds",
    "retry_lost_jobs",
    "run_timeout_seconds",
    "deadline_seconds",
)


class Outcome(StrEnum):
    """What a sync did, or with `write=False` would do, to a tool."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DISABLED = "disabled"
    BROKEN = "broken"
    TAKEN = "taken"


# Outcomes that leave the database other than it was.
CHANGES = frozenset({Outcome.CREATED, Outcome.UPDATED, Outcome.DISABLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolChange:
    """One line of a sync's report. `detail` names the fields that changed, or says what is wrong."""

    slug: str
    outcome: Outcome
    detail: str = ""
    enabled: bool = True


def sync_tools(*, write: bool = True) -> list[ToolChange]:
    """Bring the tools in step with what the adapters declare, and return what became of each, by slug.

    Creates what is missing and updates what code declares (`DECLARED`); what operators set stays. A tool whose adapter
    is gone is disabled. An adapter whose package cannot be loaded is reported, and its tools are left as they are.
    A second call changes nothing. One transaction; with `write=False` nothing is written, and the report is the same.
    """
    declared, broken = _declared()
    with transaction.atomic():
        rows = {tool.slug: tool for tool in Tool.objects.select_for_update().order_by("slug")}
        missing = [(key, definition) for key, definition in declared if definition.slug not in rows]
        if missing and write:
            _create(missing)
        changes = [_sync(key, definition, rows.get(definition.slug), write=write) for key, definition in declared]
        slugs = {definition.slug for _, definition in declared}
        others = [tool for slug, tool in rows.items() if slug not in slugs]
        changes += [change for tool in others if (change := _orphan(tool, broken, write=write))]
    changes += [ToolChange(slug=key, outcome=Outcome.BROKEN, detail=why) for key, why in broken.items() if not _has_tool(key, others)]
    return sorted(changes, key=lambda change: change.slug)


def _declared() -> tuple[list[tuple[str, ToolDefinition]], dict[str, str]]:
    """Return what the adapters declare, each with its adapter's key, and why those that are broken do not."""
    declared: dict[str, tuple[str, ToolDefinition]] = {}
    broken: dict[str, str] = {}
    # Built-in adapters first: a package cannot take the slug of one of our tools.
    for key in sorted(registry.all_keys(), key=lambda key: (key not in registry.BUILT_IN, key)):
        try:
            definitions = registry.get(key).definitions
        except registry.AdapterBroken as error:
            broken[key] = str(error)
            continue
        for definition in definitions:
            declared.setdefault(definition.slug, (key, definition))
    for key, definition in example_definitions():
        declared.setdefault(definition.slug, (key, definition))
    return list(declared.values()), broken


def _create(missing: Sequence[tuple[str, ToolDefinition]]) -> None:
    """Add tools that have no row yet, and their providers where these have none. What stands in the row of a provider is the operator's."""
    wanted = {definition.provider for _, definition in missing} - {""}
    providers = Provider.objects.in_bulk(wanted, field_name="slug")
    for slug in sorted(wanted - providers.keys()):
        providers[slug], _ = Provider.objects.get_or_create(slug=slug, defaults={"name": slug})
    Tool.objects.bulk_create(
        Tool(
            slug=definition.slug,
            provider=providers.get(definition.provider),
            **_declared_values(key, definition),
            **{name: _plain(getattr(definition, name)) for name in INITIAL},
        )
        for key, definition in missing
    )


def _declared_values(key: str, definition: ToolDefinition) -> dict[str, Any]:
    return {"adapter": key, **{name: _plain(getattr(definition, name)) for name in DECLARED if name != "adapter"}}


def _sync(key: str, definition: ToolDefinition, tool: Tool | None, *, write: bool) -> ToolChange:
    """Bring a row in step, and return what became of it. None: it was missing, and `_create` adds it."""
    if tool is None:
        return ToolChange(slug=definition.slug, outcome=Outcome.CREATED)
    wanted = _declared_values(key, definition)
    if tool.adapter == key:
        wanted |= declared_by_config(tool)
    if tool.adapter != key and tool.adapter in registry.all_keys():
        detail = f"the slug belongs to an operator's tool of adapter {tool.adapter}"
        return ToolChange(slug=tool.slug, outcome=Outcome.TAKEN, detail=detail, enabled=tool.enabled)
    changed = [name for name, value in wanted.items() if getattr(tool, name) != value]
    if changed and write:
        for name in changed:
            setattr(tool, name, wanted[name])
        tool.save(update_fields=[*changed, "updated_at"])
    outcome = Outcome.UPDATED if changed else Outcome.UNCHANGED
    return ToolChange(slug=tool.slug, outcome=outcome, detail=", ".join(changed), enabled=tool.enabled)


def declared_by_config(tool: Tool) -> dict[str, Any]:
    """Return what the configuration of a tool makes of it, by field: for some adapters, schemas, effects or recovery follow from it.

    Nothing when the adapter is not here.
    """
    try:
        adapter = registry.get(tool.adapter)
    except registry.AdapterNotFound:
        return {}
    return {name: _plain(value) for name, value in adapter.declares(tool.config).items()}


def _orphan(tool: Tool, broken: Mapping[str, str], *, write: bool) -> ToolChange | None:
    """Return what becomes of a tool that no code declares; None when it is an operator's, of an adapter that is there."""
    if tool.adapter in broken:
        return ToolChange(slug=tool.slug, outcome=Outcome.BROKEN, detail=broken[tool.adapter], enabled=tool.enabled)
    if tool.adapter in registry.all_keys():
        return None
    detail = f"its adapter {tool.adapter} is gone"
    if not tool.enabled:
        return ToolChange(slug=tool.slug, outcome=Outcome.UNCHANGED, detail=detail, enabled=False)
    if write:
        tool.enabled = False
        tool.save(update_fields=["enabled", "updated_at"])
    return ToolChange(slug=tool.slug, outcome=Outcome.DISABLED, detail=detail, enabled=False)


def _has_tool(key: str, tools: list[Tool]) -> bool:
    return any(tool.adapter == key for tool in tools)


def _plain(value: Any) -> Any:
    """Return a value of a definition as the database gives it back: dicts and lists, whatever mapping or tuple it was."""
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, StrEnum) else value
