"""Logs: one event a line, as JSON or for a person at a terminal, and no secret in any.

Whoever works on behalf of a request, a cast or a generation binds its id once, by `structlog.contextvars`; each
line written meanwhile carries it. Lines of libraries take the same way as ours.
"""

import logging
import re
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from generations import tracing

MASK = "***"
_SECRET_NAME = re.compile(
    r"passw(or)?d|secret|token|authori[sz]ation|api[-_]?key|cookie|signature|credential|private[-_]?key", re.IGNORECASE
)
# "Authorization: Bearer abc..." inside a text, and the password of a URL.
_SECRET_TEXT = re.compile(r"(?<=\bBearer )\S+|(?<=\bBasic )\S+|(?<=\bToken )\S+|(?<=://)[^/\s@]+(?=@)", re.IGNORECASE)
# What signs an address, in its query or after the id in its path, and keys that stand in a query.
_SECRET_QUERY = re.compile(
    r"(?<=[?&])([\w.-]*(?:signature|token|key|secret|passw(?:or)?d|sig|credential)[\w-]*=)[^&\s\"'<>]+", re.IGNORECASE
)
_SIGNED_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{32}[.:])[\w-]{27,}")
# What one of these finds has one of these in it, and most texts of a log have none.
_MAYBE_SECRET = re.compile(r"bearer |basic |token |://|[?&]|[0-9a-f]{32}[.:]", re.IGNORECASE)
_MAX_DEPTH = 8


def mask(value: Any, *, depth: int = 0) -> Any:
    """Return a value without what looks like a secret: by the name that it stands under, or by its own look."""
    if isinstance(value, str):
        if not _MAYBE_SECRET.search(value):
            return value
        return _SIGNED_ID.sub(rf"\1{MASK}", _SECRET_QUERY.sub(rf"\1{MASK}", _SECRET_TEXT.sub(MASK, value)))
    if depth >= _MAX_DEPTH:
        return mask(str(value))
    if isinstance(value, Mapping):
        return {name: _mask_named(name, each, depth=depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(each, depth=depth + 1) for each in value]
    return value


def _mask_named(name: Any, value: Any, *, depth: int) -> Any:
    # Numbers stay: `tokens=812` is a count.
    if isinstance(name, str) and _is_secret(name) and value and not isinstance(value, int | float):
        return MASK
    return mask(value, depth=depth)


@lru_cache(maxsize=1024)  # the same few names stand in nearly all lines
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _mask_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: each if name.startswith("_") else _mask_named(name, each, depth=1) for name, each in event.items()}


def _add_trace(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Say where in which trace the line was written, if there is one."""
    if _is_traced and (place := tracing.current()):
        event["trace_id"], event["span_id"] = place[3:35], place[36:52]
    return event


_is_traced = False

_shared: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    _add_trace,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(allow={"status_code", "cast_id", "generation_id", "thread_name"}),
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.format_exc_info,  # without local variables, which may be secrets
]


def renderers(*, for_terminal: bool) -> list[Processor]:
    """Return what turns an event into a line."""
    last: Processor = (
        structlog.dev.ConsoleRenderer() if for_terminal else structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _mask_event, last]


def is_for_terminal(form: str) -> bool:
    """Tell whether a person reads along: `form` is `json`, `console`, or `auto`."""
    return sys.stderr.isatty() if form == "auto" else form == "console"


def configuration(*, level: str, form: str) -> dict[str, Any]:
    """Return Django's LOGGING: everything to standard error. `form` is `json`, `console`, or `auto`: whichever fits the stream."""
    for_terminal = is_for_terminal(form)
    quiet = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "events": {
                "()": "structlog.stdlib.ProcessorFormatter",
                "processors": renderers(for_terminal=for_terminal),
                "foreign_pre_chain": _shared,
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "events"}},
        "root": {"handlers": ["stderr"], "level": level},
        # Django, django-q2 and uvicorn would write to handlers of their own; httpx2 would tell of each request, with its
        # whole address. Of requests to us `config.access` tells, and it tells no secrets.
        "loggers": {
            **dict.fromkeys(("django", "django.server", "django-q", "uvicorn", "uvicorn.error"), quiet),
            "uvicorn.access": {**quiet, "level": "WARNING"},
            "httpx2": {"level": "WARNING"},
        },
    }


def configure_structlog(*, is_traced: bool = False) -> None:
    """Send what `structlog.get_logger()` is told the way of the standard library. Idempotent. `is_traced`: with ids of traces."""
    global _is_traced
    _is_traced = is_traced
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def tell_of_uncaught(*, form: str) -> None:
    """Log what ends the process or a thread of it, as any other line. For a person at a terminal Python's own words stay. Idempotent.

    Whoever told Python already whom to tell keeps being told. An interruption, and an exit, is no accident.
    """
    if is_for_terminal(form):
        return
    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = _tell_of_the_last
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = _tell_of_the_last_of_a_thread


def _tell_of_the_last(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, Exception):
        logging.getLogger(__name__).critical("uncaught", exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)


def _tell_of_the_last_of_a_thread(last: threading.ExceptHookArgs) -> None:
    if issubclass(last.exc_type, SystemExit):
        return
    error = last.exc_value if last.exc_value is not None else last.exc_type()
    named = {"thread_name": last.thread.name if last.thread is not None else "of no name"}
    logging.getLogger(__name__).critical("uncaught in thread", exc_info=(last.exc_type, error, last.exc_traceback), extra=named)
