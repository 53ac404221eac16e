"""The form of server-sent events, after https://html.spec.whatwg.org/multipage/server-sent-events.html ."""

from collections.abc import Iterable
from typing import Any

from rest_framework.renderers import JSONRenderer

MEDIA_TYPE = "text/event-stream"
RECONNECT_MILLISECONDS = 2000
# How long a client whose connection broke waits before it asks again. The first thing that a stream says.
HELLO = f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
# A comment: it keeps connections open that somebody would close for their silence.
HEARTBEAT = b": \n\n"

Event = tuple[str, Any]


def encode(events: Iterable[Event], *, id: str) -> bytes:  # noqa: A002 - the field's own name
    """Return events, each a name and its data as JSON, as bytes.

    The last one alone bears the id: whoever got only some of them goes on from before the first.
    """
    lines = [b"event: %s\ndata: %s\n" % (name.encode(), JSONRenderer().render(data)) for name, data in events]
    return b"\n".join([*lines[:-1], lines[-1] + f"id: {id}\n\n".encode()]) if lines else b""
