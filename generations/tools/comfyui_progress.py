"""Listening to ComfyUI while a workflow is at work: how far it is, and how it looks so far.

A websocket tells more than the queue does, and may break at any time: it only ever adds to what polls find out.
Binary frames are `[type][format][picture]`, or `[type][length][JSON][picture]`, with big-endian 32-bit numbers.
"""

import asyncio
import json
import logging
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

from .comfyui_workflow import class_of, upstream
from .file_fetch import mime_type_of
from .http_client import CONNECT_TIMEOUT_SECONDS, USER_AGENT, certificates
from .provider_api import ProviderApi

logger = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 8 * 2**20
MAX_NODES = 10_000
_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_HEAD_BYTES = 8
_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class _Connect(connect):
    """Connects where it is told and nowhere else: a redirect would take the key along to a place that nobody checked."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


@dataclass
class Listening:
    """What was heard of one workflow so far. `preview` are the bytes of its latest picture, of a type that is shown."""

    prompt_id: str
    workflow: Mapping[str, Any]
    ended: bool = False
    stage: str = ""
    preview: bytes = b""
    done: dict[str, float] = field(default_factory=dict)
    _at_work: Any = None

    @property
    def percent(self) -> float | None:
        """Return how much of the nodes is done; None before anything was heard."""
        return min(99.0, 100 * sum(self.done.values()) / max(1, len(self.workflow))) if self.done else None

    def hear(self, message: str | bytes) -> None:
        """Take in a message. One that cannot be read, or is of another workflow, is passed over."""
        if isinstance(message, bytes):
            self._see(message)
            return
        try:
            told = json.loads(message)
        except (ValueError, RecursionError):
            return
        data = told.get("data") if isinstance(told, dict) else None
        if isinstance(data, dict) and data.get("prompt_id") == self.prompt_id:
            self._take(str(told.get("type")), data)

    def _take(self, event: str, data: dict[str, Any]) -> None:
        if event in _ENDS or (event == "executing" and data.get("node") is None):
            self.ended = True
        elif event == "execution_cached":
            nodes = data.get("nodes")
            for node in nodes if isinstance(nodes, list) else ():
                self._move(node, 1.0)
        elif event == "executing":
            self._work_at(data["node"])
        elif event == "progress":
            self._work_at(data.get("node"), share=_share(data), of=data)
        elif event == "progress_state":
            nodes = data.get("nodes")
            for node, state in nodes.items() if isinstance(nodes, dict) else ():
                if isinstance(state, dict):
                    self._move(node, 1.0 if state.get("state") == "finished" else _share(state))
        elif event == "executed":
            self._move(data.get("node"), 1.0)

    def _work_at(self, node: Any, *, share: float = 0.0, of: Mapping[str, Any] | None = None) -> None:
        """Note the node that is at work: those before it are done, also those of which nothing was heard."""
        if node != self._at_work:
            for other in (*self.done, *upstream(self.workflow, node)):
                self._move(other, 1.0)
            self._at_work = node
        self._move(node, share)
        name = class_of(self.workflow, node) or "a node"
        self.stage = f"{name} ({of.get('value')} of {of.get('max')})" if share and of is not None else name

    def _move(self, node: Any, share: float) -> None:
        if isinstance(node, str) and node in self.workflow and len(self.done) < MAX_NODES:
            self.done[node] = max(share, self.done.get(node, 0.0))

    def _see(self, frame: bytes) -> None:
        if len(frame) <= _HEAD_BYTES:
            return
        kind, length = struct.unpack(">II", frame[:_HEAD_BYTES])
        if kind == _PREVIEW:
            picture = frame[_HEAD_BYTES:]
        elif kind == _PREVIEW_WITH_METADATA and self._is_ours(frame[_HEAD_BYTES : _HEAD_BYTES + length]):
            picture = frame[_HEAD_BYTES + length :]
        else:
            return
        if mime_type_of(picture[:64], claimed="").startswith("image/"):
            self.preview = picture

    def _is_ours(self, metadata: bytes) -> bool:
        try:
            told = json.loads(metadata)
        except (ValueError, RecursionError):
            return False
        return isinstance(told, dict) and told.get("prompt_id") in (None, self.prompt_id)


def _share(state: Mapping[str, Any]) -> float:
    value, most = state.get("value"), state.get("max")
    if not isinstance(value, int | float) or not isinstance(most, int | float) or most <= 0:
        return 0.0
    return min(1.0, max(0.0, value / most))


@asynccontextmanager
async def socket(api: ProviderApi, *, client_id: str) -> AsyncIterator[ClientConnection | None]:
    """Open a websocket for the block; None when there is none to be had: the queue tells enough to go on."""
    base = api.base_url
    url = f"ws{base.removeprefix('http')}/ws?clientId={quote(client_id)}"
    try:
        connection = await _Connect(
            url,
            additional_headers=dict(api.secret_headers),
            user_agent_header=USER_AGENT,
            compression=None,  # a small message could unpack to a large one
            max_size=MAX_MESSAGE_BYTES,
            open_timeout=min(CONNECT_TIMEOUT_SECONDS, api.timeout_seconds / 2),
            close_timeout=1,
            proxy=None,
            ssl=certificates() if base.startswith("https") else None,
        )
    except (OSError, TimeoutError, WebSocketException, InvalidURI, ssl.SSLError) as error:
        logger.info("%s opens no websocket: %s", api.host, error)
        yield None
        return
    async with connection:
        yield connection


async def listen(connection: ClientConnection, heard: Listening, *, seconds: float) -> None:
    """Listen until the workflow has ended, the time is over, or the connection is."""
    try:
        async with asyncio.timeout(seconds):
            while not heard.ended:
                heard.hear(await connection.recv())
    except TimeoutError:
        pass  # that long was wanted
    except ConnectionClosed as error:
        logger.info("A websocket of ComfyUI was closed: %s", error)
