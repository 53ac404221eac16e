"""What a load run wants done. These run inside Grimoire: `manage.py shell -c "from benchmarks import orders; ..."`."""

from typing import Any

from django.contrib.auth import get_user_model

from casts.casting import Order, place
from casts.clock import database_now
from generations.catalogue import sync_tools
from spells.documents import from_data, save_draft
from spells.models import Tool
from spells.publishing import publish

USER = "benchmark"
SPELL = "benchmark"


def prepare(
    *, tool: str, config: dict[str, Any], pricing: dict[str, str], params: dict[str, Any], max_attempts: int = 3, casts: int = 0
) -> None:
    """Make the user, point the tool at the fake provider, publish a spell of one step, whose input is a number, and start `casts`."""
    user = get_user_model().objects.create_user(USER)
    sync_tools()
    row = Tool.objects.get(slug=tool)
    row.config, row.pricing, row.max_attempts = {**row.config, **config}, pricing, max_attempts
    row.save(update_fields=["config", "pricing", "max_attempts", "updated_at"])
    step = {"key": "call", "tool": tool, "params": params}
    document = from_data({"slug": SPELL, "inputs": {"number": {"type": "integer"}}, "steps": [step]})
    publish(version_id=save_draft(document=document, owner=user, now=database_now()).pk, now=database_now())
    start(casts)


def start(casts: int) -> None:
    """Start so many casts, each with its own number."""
    user = get_user_model().objects.get(username=USER)
    for number in range(casts):
        place(order=Order(spell=SPELL, inputs={"number": number}), user=user, now=database_now())
