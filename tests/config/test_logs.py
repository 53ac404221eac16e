import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from config import logs

Lines = io.StringIO


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What the root logger writes, as JSON."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    formatter = logs.configuration(level="INFO", form="json")["formatters"]["events"]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=formatter["processors"], foreign_pre_chain=formatter["foreign_pre_chain"])
    )
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel("INFO")
    yield written
    root.removeHandler(handler)
    root.setLevel(level)


def events(lines: Lines) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def test_an_event_is_one_line_of_json(lines: Lines):
    cast_id = uuid4()
    structlog.get_logger("casts.engine").info("cast.started", cast=cast_id, text="two\nlines")
    [event] = events(lines)
    assert event["event"] == "cast.started"
    assert event["logger"] == "casts.engine"
    assert event["level"] == "info"
    assert event["cast"] == str(cast_id)
    assert event["text"] == "two\nlines"
    assert event["at"].endswith("Z")


def test_ids_that_are_bound_stand_in_each_line_of_ours_and_of_libraries(lines: Lines):
    with structlog.contextvars.bound_contextvars(request_id="r1", cast_id="c1", generation_id="g1"):
        structlog.get_logger("casts").info("ours")
        logging.getLogger("some.library").warning("theirs: %s", 7)
    structlog.get_logger("casts").info("afterwards")
    ours, theirs, afterwards = events(lines)
    for event in (ours, theirs):
        assert (event["request_id"], event["cast_id"], event["generation_id"]) == ("r1", "c1", "g1")
    assert theirs["event"] == "theirs: 7"
    assert "cast_id" not in afterwards


def test_an_error_is_told_with_its_traceback_but_without_local_variables(lines: Lines):
    def log_in(password: str) -> None:
        raise ValueError("no such user")

    given = "-".join(["hunter2"] * 2)
    try:
        log_in(given)
    except ValueError:
        structlog.get_logger("casts").exception("login.failed")
    [event] = events(lines)
    assert "ValueError: no such user" in event["exception"]
    assert "hunter2" not in lines.getvalue()


@pytest.mark.parametrize(
    "name", ["password", "DJANGO_SECRET_KEY", "api_key", "X-Api-Key", "Authorization", "Set-Cookie", "webhook_signature"]
)
def test_what_stands_under_the_name_of_a_secret_is_not_logged(lines: Lines, name: str):
    structlog.get_logger("casts").info("request", headers=[{"inner": {name: "hunter2"}}], **{name: "hunter2"})
    assert "hunter2" not in lines.getvalue()
    [event] = events(lines)
    assert event[name] == logs.MASK
    assert event["headers"][0]["inner"][name] == logs.MASK


@pytest.mark.parametrize(
    "text",
    [
        "sent Authorization: Bearer hunter2-hunter2",
        "basic: Basic aHVudGVyMg-hunter2",
        "connect postgresql://user:hunter2@db/grimoire failed",
        "fetch https://hunter2@example.org/x",
        "Not Found: /api/v1/callbacks/replicate/019abcdef0123456789abcdef0123456.hunter2-hunter2-hunter2-hunter2-hunter2-abc/",
        "https://grimoire.example.org/api/v1/casts/1/events/?signature=1767268800:hunter2&x=1",
        "cannot fetch https://files.example.org/a.png?X-Amz-Expires=60&X-Amz-Signature=hunter2",
        "https://maps.example.org/?api_key=hunter2",
    ],
)
def test_secrets_inside_a_text_are_not_logged(lines: Lines, text: str):
    structlog.get_logger("casts").info(text, detail=text)
    logging.getLogger("some.library").error("%s", text)
    assert "hunter2" not in lines.getvalue()
    assert lines.getvalue().count(logs.MASK) == 3


_WORDS = [
    "Bearer ",
    "basic ",
    "TOKEN ",
    "://",
    "@",
    "?",
    "&",
    "sig=",
    "signature",
    "/",
    " ",
    "x" * 30,
    "019abcdef0123456789abcdef0123456",
    ".",
    ":",
    "aB-_",
]


@given(st.lists(st.sampled_from(_WORDS) | st.text(max_size=5), max_size=12).map("".join))
def test_no_text_is_passed_over_that_has_a_secret_in_it(text: str):
    """That most texts are seen to have none at one glance changes nothing."""
    masked = logs._SIGNED_ID.sub(rf"\1{logs.MASK}", logs._SECRET_QUERY.sub(rf"\1{logs.MASK}", logs._SECRET_TEXT.sub(logs.MASK, text)))
    assert logs.mask(text) == masked


def test_counts_of_tokens_are_no_secrets(lines: Lines):
    structlog.get_logger("casts").info("generation.settled", prompt_tokens=812, token_price=0.5)
    [event] = events(lines)
    assert (event["prompt_tokens"], event["token_price"]) == (812, 0.5)


def test_a_value_that_contains_itself_is_logged(lines: Lines):
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    structlog.get_logger("casts").info("odd", value=loop)
    assert events(lines)[0]["event"] == "odd"


def test_a_terminal_gets_lines_for_a_person():
    *_, render = logs.renderers(for_terminal=True)
    line = str(render(None, "info", {"event": "cast.started", "level": "info", "at": "2026-01-01T00:00:00Z"}))
    assert "cast.started" in line
    assert not line.startswith("{")


def test_a_stream_that_is_no_terminal_gets_json(capsys: pytest.CaptureFixture[str]):
    processors = logs.configuration(level="INFO", form="auto")["formatters"]["events"]["processors"]
    assert isinstance(processors[-1], structlog.processors.JSONRenderer)


def test_django_and_django_q_write_no_lines_of_their_own():
    for name in ("django", "django.server", "django-q"):
        assert logging.getLogger(name).handlers == []
        assert logging.getLogger(name).propagate


UNCAUGHT = """
import logging.config, sys, threading
from config import logs
logging.config.dictConfig(logs.configuration(level="INFO", form=sys.argv[1]))
logs.tell_of_uncaught(form=sys.argv[1])
def fail(password="-".join(["hunter2"] * 2)):
    raise ValueError("of two\\nlines")
thread = threading.Thread(target=fail, name="painter")
thread.start()
thread.join()
threading.Thread(target=sys.exit).start()
fail()
"""


def died(form: str) -> str:
    ended = subprocess.run([sys.executable, "-c", UNCAUGHT, form], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    return ended.stderr


def test_what_ends_a_process_or_a_thread_is_a_line_of_json_too():
    of_the_thread, of_the_process = (json.loads(line) for line in died("json").splitlines())
    assert (of_the_thread["event"], of_the_thread["thread_name"]) == ("uncaught in thread", "painter")
    assert (of_the_process["event"], of_the_process["level"]) == ("uncaught", "critical")
    for line in (of_the_thread, of_the_process):
        assert line["exception"].endswith("ValueError: of two\nlines")
        assert "hunter2-hunter2" not in line["exception"]


def test_a_person_at_a_terminal_gets_the_traceback_as_it_is():
    told = died("console")
    assert told.count("Traceback (most recent call last):") == 2
    assert "uncaught" not in told


def test_whoever_was_told_of_the_last_before_is_told_still(monkeypatch: pytest.MonkeyPatch):
    told: list[object] = []
    for module in (sys, threading):
        monkeypatch.setattr(module, "excepthook", told.append)
    logs.tell_of_uncaught(form="json")
    hooks: list[object] = [sys.excepthook, threading.excepthook]
    assert hooks == [told.append, told.append]
