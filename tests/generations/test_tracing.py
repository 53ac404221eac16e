"""Places in traces, and spans: nothing at all without a collector, and of strangers only what is well formed."""

import os
import time
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from generations import tracing
from tests import forked
from tests.collector import Collector, collect
from tests.forked import Ended

GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector(monkeypatch, settings):
    """A collector to which this process sends what it traces."""
    with collect() as collector:
        yield from traced(collector, monkeypatch, settings)


def traced(collector: Collector, monkeypatch, settings):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    settings.TRACES_ENDPOINT = collector.url
    tracing._made.cache_clear()
    yield collector
    provider = tracing._provider()
    provider.shutdown()
    tracing._made.cache_clear()


def test_a_traceparent_of_a_stranger_is_taken_as_it_is_or_not_at_all():
    assert tracing.read(GIVEN) == GIVEN
    assert tracing.read(GIVEN[:-2] + "00") == GIVEN[:-2] + "00"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "00",
        GIVEN.upper(),
        GIVEN + "-more",
        GIVEN + "\n",
        " " + GIVEN,
        "ff" + GIVEN[2:],
        "01" + GIVEN[2:],
        GIVEN[:-2] + "ff",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        GIVEN.replace("4bf9", "4bg9"),
        GIVEN.replace("4bf9", "\u0664bf9"),
        "x" * 100_000,
    ],
)
def test_what_is_no_traceparent_is_nothing(given):
    assert tracing.read(given) == ""


def test_a_derived_place_is_the_same_everywhere_and_another_for_each_name():
    place = tracing.derived(GIVEN, "cast", 7, 0)
    assert tracing.read(place) == place
    assert place == tracing.derived(GIVEN, "cast", 7, 0)
    assert place[:36] == GIVEN[:36]
    others = {tracing.derived(GIVEN, *parts) for parts in (("cast", 7, 1), ("cast", 8, 0), ("generation", 7, 0))}
    assert len({place, GIVEN, *others}) == 5
    assert tracing.derived("", "cast", 7, 0) == ""


def test_without_a_collector_nothing_is_made_and_nothing_of_it_is_loaded(settings):
    settings.TRACES_ENDPOINT = ""
    with tracing.span("something", parent=GIVEN) as noted, tracing.under(GIVEN):
        noted.note({"a": 1})
        noted.rename("other")
        noted.fail("why")
        assert tracing.current() == ""
    assert not tracing.is_on()


def run(code: str, **environment: str) -> Ended:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    variables |= {"DJANGO_SETTINGS_MODULE": "config.settings", **environment}
    return forked.run("-c", code, environment=variables, folder=Path(django_settings.BASE_DIR))


def test_the_packages_are_not_loaded_unless_they_are_needed():
    ended = run(
        "import django, sys; django.setup(); import casts.conductor; print([name for name in sys.modules if 'opentelemetry' in name])"
    )
    assert ended.stdout == "[]\n", ended.stderr


WITHOUT = """
import sys
for name in ("opentelemetry", "opentelemetry.sdk", "opentelemetry.exporter"):
    sys.modules[name] = None
import django
django.setup()
from django.core.checks import run_checks
from generations import tracing
with tracing.span("something"):
    print(tracing.is_on(), repr(tracing.current()), [message.id for message in run_checks() if message.id == "grimoire.W004"])
"""


def test_without_the_packages_all_works_and_a_check_says_what_is_missing():
    ended = run(WITHOUT, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert ended.stdout == "False '' ['grimoire.W004']\n", ended.stderr
    assert "extra `otel` is not installed" in ended.stderr


def test_a_collector_that_is_away_holds_up_neither_work_nor_end():
    code = "import django; django.setup()\nfrom generations import tracing\nwith tracing.span('x'):\n    print(bool(tracing.current()))"
    began = time.monotonic()
    ended = run(code, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
    assert time.monotonic() - began < 30


def test_spans_nest_and_tell_how_they_failed_without_the_words_of_the_error(collector: Collector):
    def fail() -> None:
        raise ZeroDivisionError("the password is hunter2")

    with pytest.raises(ZeroDivisionError), tracing.span("outer", kind="server", parent=GIVEN), tracing.span("inner"):
        fail()
    tracing.flush()
    [outer], [inner] = collector.named("outer"), collector.named("inner")
    assert (outer.trace_id, outer.parent_id) == (GIVEN[3:35], GIVEN[36:52])
    assert inner.parent_id == outer.span_id
    assert (inner.failed, inner.message) == (True, "ZeroDivisionError")
    assert b"hunter2" not in b"".join(collector.bodies)


def test_below_a_trace_that_is_not_sampled_nothing_is(collector: Collector):
    with tracing.span("unseen", parent=GIVEN[:-2] + "00"):
        place = tracing.current()
        assert place.endswith("-00")
    with tracing.span("seen", parent=GIVEN):
        assert tracing.current()[:36] == GIVEN[:36]
    tracing.flush()
    assert {span.name for span in collector.spans} == {"seen"}
