"""What a tool costs is numbered: a number names the same prices for ever, whoever changes them and however."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from spells import triggers
from spells.models import PriceTable, Tool
from spells.prices import validate_prices
from tests.factories import ToolFactory

pytestmark = pytest.mark.django_db

OLD, NEW = {"per_second": "0.0012"}, {"per_second": "0.0010", "per_call": "0.5"}


@pytest.fixture
def tool(db: None) -> Tool:
    return ToolFactory.create(slug="priced.tool", pricing=OLD)


def tables(tool: Tool) -> list[tuple[int, Any]]:
    return list(PriceTable.objects.filter(tool=tool).order_by("number").values_list("number", "prices"))


def refused(write: Callable[[], object]) -> str:
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        write()
    return str(caught.value)


def test_a_tool_starts_with_its_first_table(tool: Tool) -> None:
    tool.refresh_from_db()
    assert tool.price_table == 1
    assert tables(tool) == [(1, OLD)]
    assert abs((PriceTable.objects.get().created_at - timezone.now()).total_seconds()) < 600


def by_save(tool: Tool) -> None:
    tool.pricing = NEW
    tool.save()


def by_saving_the_field(tool: Tool) -> None:
    tool.pricing = NEW
    tool.save(update_fields=["pricing", "updated_at"])


def by_update(tool: Tool) -> None:
    Tool.objects.filter(pk=tool.pk).update(pricing=NEW)


def by_sql(tool: Tool) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE spells_tool SET pricing = %s WHERE id = %s", [json.dumps(NEW), tool.pk])


@pytest.mark.parametrize("change", [by_save, by_saving_the_field, by_update, by_sql])
def test_each_change_of_the_prices_makes_the_next_table(tool: Tool, change: Callable[[Tool], None]) -> None:
    change(tool)
    tool.refresh_from_db()
    assert (tool.price_table, tool.pricing) == (2, NEW)
    assert tables(tool) == [(1, OLD), (2, NEW)]
    Tool.objects.filter(pk=tool.pk).update(pricing=OLD)
    assert tables(tool) == [(1, OLD), (2, NEW), (3, OLD)]


def test_other_changes_make_none(tool: Tool) -> None:
    Tool.objects.filter(pk=tool.pk).update(name="Renamed", pricing=OLD)
    tool.save()
    assert tables(tool) == [(1, OLD)]


def test_a_stale_row_does_not_turn_the_number_back(tool: Tool) -> None:
    stale = Tool.objects.get(pk=tool.pk)
    by_update(tool)
    stale.refresh_from_db(fields=["pricing"])
    stale.save()
    Tool.objects.filter(pk=tool.pk).update(price_table=7)
    assert Tool.objects.values_list("price_table", "pricing").get(pk=tool.pk) == (2, NEW)
    assert tables(tool) == [(1, OLD), (2, NEW)]


def test_a_tool_cannot_come_with_a_number_of_its_own(tool: Tool) -> None:
    other = ToolFactory.create(pricing=NEW, price_table=9)
    other.refresh_from_db()
    assert other.price_table == 1
    assert tables(other) == [(1, NEW)]
    assert tables(tool) == [(1, OLD)]


@pytest.mark.parametrize("change", [{"number": 5}, {"prices": {}}, {"created_at": "2020-01-01T00:00:00Z"}], ids=str)
def test_no_table_is_changed(tool: Tool, change: dict[str, Any]) -> None:
    assert "never changes" in refused(lambda: PriceTable.objects.filter(tool=tool).update(**change))
    assert tables(tool) == [(1, OLD)]


def test_no_table_is_deleted_or_written_by_hand(tool: Tool) -> None:
    assert "never changes" in refused(PriceTable.objects.filter(tool=tool).delete)
    written = {"tool": tool, "created_at": timezone.now()}
    assert "written by the database" in refused(lambda: PriceTable.objects.create(number=2, prices=NEW, **written))
    assert "written by the database" in refused(lambda: PriceTable.objects.create(number=1, prices=NEW, **written))
    assert tables(tool) == [(1, OLD)]


def test_tables_go_with_their_tool(tool: Tool) -> None:
    by_update(tool)
    other = ToolFactory.create(pricing=OLD)
    tool.delete()
    assert list(PriceTable.objects.values_list("tool", flat=True)) == [other.pk]


NO_PRICES: list[Any] = [
    [], "x", 7, {"per_call": 0.1}, {"per_call": None}, {"per_call": ""}, {"per_call": "much"}, {"per_call": "-1"}, {"per_call": "NaN"},
    {"per_call": "1e-6"}, {"per_call": "1.2.3"}, {"per_call": ".5"}, {"per_call": "5."}, {"per_call": "1 "}, {"per_call": "1234567890"},
    {"per_call": "0." + "1" * 40}, {"per_call": {"usd": "1"}},
]  # fmt: skip


@pytest.mark.parametrize("prices", NO_PRICES, ids=str)
def test_what_are_no_prices_are_refused_by_the_form_and_by_the_database(tool: Tool, prices: Any) -> None:
    with pytest.raises(ValidationError):
        validate_prices(prices)
    assert "prices are an object" in refused(lambda: Tool.objects.filter(pk=tool.pk).update(pricing=prices))
    assert Tool.objects.get(pk=tool.pk).pricing == OLD


@pytest.mark.parametrize("unit", ["", "Per Call", "per_image:", "1", "a" * 60, "per_image:a b", "\0", "per_image:" + "x" * 40])
def test_units_are_words(unit: str) -> None:
    with pytest.raises(ValidationError, match="is no unit"):
        validate_prices({unit: "1"})


def test_prices_are_not_without_number() -> None:
    validate_prices({f"per_image:{n}": "1" for n in range(100)})
    with pytest.raises(ValidationError, match="at most 100"):
        validate_prices({f"per_image:{n}": "1" for n in range(101)})


@pytest.mark.parametrize("prices", [{}, {"per_call": "0"}, {"per_image:1024x1024:high": "0.167", "input_per_million": "2.50"}], ids=str)
def test_prices_are_taken(tool: Tool, prices: Any) -> None:
    validate_prices(prices)
    Tool.objects.filter(pk=tool.pk).update(pricing=prices)
    assert tables(tool)[-1] == (2, prices)


def test_what_was_written_without_the_triggers_is_caught_up_with(tool: Tool) -> None:
    if connection.vendor == "sqlite":
        triggers.lift(using="default")
        unknown = ToolFactory.create(pricing=NEW)
        by_update(tool)
        assert tables(unknown) == []
        triggers.install(using="default")
        assert tables(unknown) == [(1, NEW)]
        assert tables(tool) == [(1, OLD), (2, NEW)]
    before = tables(tool)
    triggers.install(using="default")
    assert tables(tool) == before


@pytest.mark.django_db(transaction=True)
def test_tables_are_kept_after_a_migrate_and_a_flush() -> None:
    call_command("migrate", verbosity=0)
    tool = ToolFactory.create(pricing=OLD)
    call_command("flush", interactive=False, verbosity=0)
    assert not PriceTable.objects.exists()
    tool = ToolFactory.create(pricing=OLD)
    assert "never changes" in refused(PriceTable.objects.filter(tool=tool).delete)
