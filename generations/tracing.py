"""Traces: spans of what happens, handed to a collector of OpenTelemetry when one is named. Without one, all of this does nothing.

A place in a trace travels as the text of a `traceparent` (W3C Trace Context): kept with a cast, told to a child process.
No span is open while a cast waits: one that took long is recorded at its end, with the time at which it began, under
an id that was known beforehand (`derived`), so that others could be its children meanwhile (docs/adr/0018).

The packages of OpenTelemetry are an extra, `otel`. They are loaded at the first span, in the process that makes it.
"""

import atexit
import hashlib
import logging
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal

from django.conf import settings

logger = logging.getLogger(__name__)

Kind = Literal["internal", "server", "client"]
Attributes = Mapping[str, str | int | float | bool | None]
NONE: Attributes = {}

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]", re.ASCII)
# How long the last spans of a process may take on their way.
FLUSH_SECONDS = 3.0

_making = threading.Lock()
_wanted_id: ContextVar[int | None] = ContextVar("wanted_id", default=None)


def is_installed() -> bool:
    """Tell whether the packages are there."""
    try:
        return find_spec("opentelemetry.sdk.trace") is not None and find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # not even what they are part of
        return False


def is_asked_for() -> bool:
    """Tell whether a collector is named: without one there is no need to say what a span would be of."""
    return bool(settings.TRACES_ENDPOINT)


def is_on() -> bool:
    """Tell whether spans are made: a collector is named, and the packages are there."""
    return bool(settings.TRACES_ENDPOINT) and _tracer() is not None


def read(traceparent: str) -> str:
    """Return a `traceparent` that a stranger sent if it is one, else nothing. Other versions and flags than we know are refused."""
    return traceparent if _TRACEPARENT.fullmatch(traceparent) else ""


def current() -> str:
    """Return where we stand: the `traceparent` of the present span; empty while there is none.

    Makes nothing that is not there: lines of the log ask, also those that are written while the rest is being made.
    """
    if not settings.TRACES_ENDPOINT or not _made.cache_info().currsize or _made() is None:
        return ""
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags & 1:02x}" if context.is_valid else ""


def derived(traceparent: str, *parts: object) -> str:
    """Return the place, in the same trace, of the span that `parts` name: the same in each process, without asking any."""
    if not traceparent:
        return ""
    digest = hashlib.sha256("/".join(map(str, (traceparent[3:35], *parts))).encode()).digest()
    span_id = digest[:8].hex() if any(digest[:8]) else "0" * 15 + "1"
    return f"{traceparent[:36]}{span_id}{traceparent[52:]}"


@contextmanager
def span(name: str, *, kind: Kind = "internal", parent: str = "", attributes: Attributes = NONE) -> Iterator["Noted"]:
    """Make a span of what is done in the block, below the present one or the given parent.

    An exception marks it as failed by its class; its message may hold what is nobody's business.
    """
    noted = Noted()
    tracer = _tracer() if settings.TRACES_ENDPOINT else None
    if tracer is None:
        yield noted
        return
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    with tracer.start_as_current_span(
        name,
        context=_context(parent) if parent else None,
        kind=trace.SpanKind[kind.upper()],
        attributes=_plain(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        noted.made = made
        try:
            yield noted
        except BaseException as error:
            noted.fail(getattr(error, "code", None) or type(error).__name__)
            raise


class Noted:
    """What is noted of a span while it lasts. Takes everything and keeps nothing where there is none."""

    def __init__(self) -> None:
        """Begin without a span."""
        self.made: Any = None

    def rename(self, name: str) -> None:
        if self.made is not None:
            self.made.update_name(name)

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        if self.made is not None:
            self.made.set_attributes(_plain(attributes))

    def fail(self, why: object) -> None:
        """Mark it as failed, in a word."""
        if self.made is not None:
            from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

            self.made.set_status(StatusCode.ERROR, str(why)[:100])


@contextmanager
def under(traceparent: str) -> Iterator[None]:
    """Make what is done in the block children of a span that another process has made."""
    if not traceparent or not is_on():
        yield
        return
    from opentelemetry import context  # noqa: PLC0415 - an extra

    token = context.attach(_context(traceparent))
    try:
        yield
    finally:
        context.detach(token)


def record(
    name: str, *, place: str, parent: str, began_at: datetime, ended_at: datetime, failure: str = "", attributes: Attributes = NONE
) -> None:
    """Make a span of what is over, at the place that was derived for it."""
    tracer = _tracer() if settings.TRACES_ENDPOINT else None
    if tracer is None or not place:
        return
    token = _wanted_id.set(int(place[36:52], 16))
    try:
        made = tracer.start_span(name, context=_context(parent), start_time=_nanoseconds(began_at), attributes=_plain(attributes))
    finally:
        _wanted_id.reset(token)
    noted = Noted()
    noted.made = made
    if failure:
        noted.fail(failure)
    made.end(end_time=max(_nanoseconds(began_at), _nanoseconds(ended_at)))


def flush() -> None:
    """Hand over what was not handed over yet, before a process ends. A collector that does not answer is not waited for long."""
    if _made.cache_info().currsize and (provider := _made()) is not None:
        handing_over = threading.Thread(target=provider.force_flush, daemon=True)
        handing_over.start()
        handing_over.join(FLUSH_SECONDS)


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000


def _plain(attributes: Attributes) -> dict[str, str | int | float | bool]:
    return {name: value for name, value in attributes.items() if value is not None}


def _context(traceparent: str) -> Any:
    """Return the context below a span that is not ours to end."""
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    parent = trace.SpanContext(
        trace_id=int(traceparent[3:35], 16),
        span_id=int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(int(traceparent[53:55], 16)),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), context=_nothing())


def _nothing() -> Any:
    """Return a context without baggage: we neither take any in nor hand any on."""
    from opentelemetry.context import Context  # noqa: PLC0415 - an extra

    return Context()


def _tracer() -> Any:
    provider = _provider()
    return None if provider is None else provider.get_tracer("grimoire")


def _provider() -> Any:
    """Return what makes spans and sends them, one for all threads. None without the packages."""
    with _making:
        return _made()


@cache
def _made() -> Any:
    """Make it, or say in the logs why that cannot be."""
    if not is_installed():
        logger.warning("Traces are asked for (OTEL_EXPORTER_OTLP_ENDPOINT), and the extra `otel` is not installed: there are none.")
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator  # noqa: PLC0415

    class Ids(RandomIdGenerator):
        """Gives a span the id that was derived for it, if one was."""

        def generate_span_id(self) -> int:
            return _wanted_id.get() or super().generate_span_id()

    # what the environment says of the service comes with `create`
    provider = TracerProvider(resource=Resource.create(_process()), id_generator=Ids(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    atexit.register(flush)
    return provider


def _process() -> dict[str, str | int]:
    """Return what tells this process from others."""
    told: dict[str, str | int] = {
        "process.pid": os.getpid(),
        "host.name": socket.gethostname(),
        "service.instance.id": secrets.token_hex(8),
    }
    is_named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return told if is_named else {"service.name": "grimoire", **told}
