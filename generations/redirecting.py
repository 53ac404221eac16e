"""Moving tools to another address at once: to a gateway of yours, to another region, or to the fake provider."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from generations.tools import registry
from spells.models import Tool
from spells.problems import Problem, ProblemsError
from spells.schemas import check


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """An address in the config of a tool that changes, or would: its base URL, or another `setting` that ends in `_url`."""

    slug: str
    setting: str
    before: str
    after: str


def redirect_tools(*, old: str, new: str, write: bool = True) -> list[Redirection]:
    """Replace the beginning of all addresses in the configs of tools that are `old` or stand below it. Returns them by slug.

    An address that a tool does not name is the one that its adapter would use. A second call changes nothing.

    Raises:
        ProblemsError: `new` is no address that the adapters would take; nothing is changed.
    """
    old, new = old.rstrip("/"), new.rstrip("/")
    with transaction.atomic():
        redirections = []
        for tool in Tool.objects.select_for_update().order_by("slug"):
            moved = list(_moved(tool, old=old, new=new))
            if moved and write:
                tool.config = {**tool.config, **{each.setting: each.after for each in moved}}
                tool.save(update_fields=["config", "updated_at"])
            redirections += moved
        return redirections


def _moved(tool: Tool, *, old: str, new: str) -> Iterator[Redirection]:
    for setting, before, schema in _addresses(tool):
        if before == old or before.startswith(f"{old}/"):
            after = new + before.removeprefix(old)
            if problems := check(after, schema, path=setting):
                raise ProblemsError([Problem(setting, f"{tool.slug} cannot be moved to {after}: {problems[0].message}")])
            yield Redirection(slug=tool.slug, setting=setting, before=before, after=after)


def _addresses(tool: Tool) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield the addresses that a tool calls, without a slash at the end: the setting, its value, and its schema."""
    try:
        properties = registry.get(tool.adapter).config_schema.get("properties", {})
    except registry.AdapterNotFound:
        return
    for setting, schema in properties.items():
        if setting.endswith("_url"):
            yield setting, str(tool.config.get(setting, schema.get("default", ""))).rstrip("/"), schema
