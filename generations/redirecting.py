"""Moving tools to another address at once: to a gateway of yours, to another region, or to the fake provider."""

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from generations.tools import registry
from spells.models import Tool
from spells.problems import Problem, ProblemsError
from spells.schemas import check


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirection:
    """A tool whose base URL changes, or would."""

    slug: str
    before: str
    after: str


def redirect_tools(*, old: str, new: str, write: bool = True) -> list[Redirection]:
    """Replace the beginning of the base URL of all tools whose base URL is `old` or stands below it. Returns them by slug.

    A tool that names no base URL has the one that its adapter would use. A second call changes nothing.

    Raises:
        ProblemsError: `new` is no address that the adapters would take; nothing is changed.
    """
    old, new = old.rstrip("/"), new.rstrip("/")
    with transaction.atomic():
        redirections = []
        for tool in Tool.objects.select_for_update().order_by("slug"):
            before, schema = _base_url(tool)
            if not (before == old or before.startswith(f"{old}/")):
                continue
            after = new + before.removeprefix(old)
            problems = check(after, schema, path="base_url")
            if problems:
                raise ProblemsError([Problem("base_url", f"{tool.slug} cannot be moved to {after}: {problems[0].message}")])
            redirections.append(Redirection(slug=tool.slug, before=before, after=after))
            if write:
                tool.config = {**tool.config, "base_url": after}
                tool.save(update_fields=["config", "updated_at"])
        return redirections


def _base_url(tool: Tool) -> tuple[str, dict[str, Any]]:
    """Return the base URL of a tool without a slash at its end, and the schema of base URLs of its adapter; empty when it has none."""
    try:
        schema = registry.get(tool.adapter).config_schema.get("properties", {}).get("base_url")
    except registry.AdapterNotFound:
        return "", {}
    if schema is None:
        return "", {}
    return str(tool.config.get("base_url") or schema.get("default", "")).rstrip("/"), dict(schema)
