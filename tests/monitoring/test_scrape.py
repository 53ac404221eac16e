"""All that our rules and our dashboard name, held against what a real scrape tells."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from casts.models import AlertKind
from generations.models import ENDED
from generations.tools import registry
from generations.tools.contract import Submitted
from tests.casts import adapters
from tests.casts.factories import GateFactory
from tests.casts.providers import Provider, job_of, register, send
from tests.casts.scenes import Hand, billed, cast
from tests.casts.test_conductor import conduct, gate, using
from tests.casts.test_metrics import from_nothing

from .shipped import expressions

__all__ = ["from_nothing", "gate"]

Told = dict[str, list[dict[str, str]]]

_SELECTOR = re.compile(r"(?<![\w:])(grimoire_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\bby\s*\(([^)]*)\)")


def scrape() -> Told:
    """Ask for the metrics as Prometheus would; return the labels of all samples by name."""
    response = Client().get("/metrics", headers={"Authorization": "Bearer scrape-me"})
    assert response.status_code == 200
    told: Told = {}
    for family in text_string_to_metric_families(response.content.decode()):
        for sample in family.samples:
            told.setdefault(sample.name, []).append(dict(sample.labels))
    return told


@pytest.fixture
def lived(monkeypatch: pytest.MonkeyPatch) -> Iterator[Told]:
    """What a site tells on which each thing has happened that only then has a sample."""
    register(monkeypatch)
    GateFactory.create()
    cast(using(adapters.AsyncEcho, key="one"), using(adapters.Raises, key="two", params={"how": "once"}))
    conduct()
    hand = Hand(cast({"key": "one", "tool": billed(Provider.key)}, slug="job"))
    hand.look()
    hand.answer("one", Submitted(job_id=job_of(hand.generation("one").pk), poll_after=600))
    send(hand.generation("one"), {"status": "done", "output": {}})
    yield scrape()
    registry.forget()


@pytest.mark.django_db(transaction=True)
def test_all_that_the_rules_and_the_dashboard_name_exists_in_a_scrape_with_its_labels(lived: Told):
    seen = set()
    values: dict[str, set[str]] = {"outcome": {*ENDED}, "kind": {*AlertKind.values, "provider", "tool"}}
    for where, expression in expressions():
        names = [(name, matchers or "") for name, matchers in _SELECTOR.findall(expression)]
        assert names or "grimoire:" in expression, f"{where}: names no metric of ours"
        for name, matchers in names:
            assert name in lived, f"{where}: there is no {name}"
            labels = lived[name][0].keys()
            grouped = {label.strip() for group in _GROUPING.findall(expression) for label in group.split(",")}
            assert grouped <= labels or len(names) > 1, f"{where}: {name} has no {grouped - labels}"
            for label, operator, wanted in _MATCHER.findall(matchers):
                assert label in labels, f"{where}: {name} has no label {label}"
                known = {each[label] for each in lived[name]} | values.get(label, set())
                words = wanted.split("|") if "~" in operator else [wanted]
                assert wanted == "$tool" or set(words) <= known, f"{where}: {name} has no {label} of {set(words) - known}"
            seen.add(name.removesuffix("_bucket"))
    unused = {name for name in lived if name.startswith("grimoire_")} - seen
    assert unused <= {f"grimoire_step_duration_seconds_{part}" for part in ("bucket", "count", "sum")}, "nobody looks at these"
