"""A provider of jobs for tests: an adapter whose provider is the test itself, and the webhooks that it sends."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar
from uuid import uuid4

import pytest

from casts import errands
from casts.conductor.callbacks import Callbacks
from casts.conductor.errands import Kind, _note
from casts.conductor.threads import Threads
from generations.callback_addresses import signed_id
from generations.models import Generation
from generations.tools import registry
from generations.tools.contract import (
    Adapter,
    CallbackRefusedError,
    Cost,
    Delivery,
    Json,
    Lost,
    Progress,
    RemoteFile,
    Request,
    Result,
    Submitted,
    ToolError,
)
from tests.api import ApiClient

SECRET = b"between provider and us"


def news_of(payload: Json) -> Result | Progress | ToolError | None:
    """Return what a payload of this provider says."""
    cost = Cost(usd=Decimal(payload["cost"])) if "cost" in payload else None
    match payload["status"]:
        case "done":
            return Result(output=payload.get("output", {}), cost=cost)
        case "file":
            return Result(output={"file": RemoteFile(url=payload["url"])}, cost=cost)
        case "working":
            return Progress(percent=payload["percent"], poll_after=60)
        case "failed":
            return ToolError(payload["message"], cost=cost, permanent=True)
        case "hint":
            return None
    raise ZeroDivisionError("no such status")


class Provider(Adapter):
    """Takes each call as a job. `answers` is what it says when it is asked, by job id; `asked` counts how often it was."""

    key: ClassVar[str] = "test.provider"
    answers: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[str]] = []
    cancelled: ClassVar[list[str]] = []
    refusal: ClassVar[Exception | None] = None

    async def run(self, request: Request) -> Submitted:
        return Submitted(job_id=job_of(request.generation_id), poll_after=request.inputs.get("poll_after", 600))

    async def poll(self, request: Request, job_id: str) -> Result | Progress | Lost | ToolError:
        self.asked.append(job_id)
        said = self.answers.get(job_id, Progress(poll_after=600))
        news: Result | Progress | Lost | ToolError = await said() if callable(said) else said
        return news

    async def cancel(self, request: Request, job_id: str) -> None:
        self.cancelled.append(job_id)
        if self.refusal is not None:
            raise self.refusal

    def verify_callback(self, delivery: Delivery) -> str:
        match delivery.headers.get("x-signature", ""):
            case "crash":
                raise ZeroDivisionError
            case signature if not hmac.compare_digest(signature, sign(delivery.body)):
                raise CallbackRefusedError("The signature does not hold.")
        return delivery.headers.get("x-delivery", "")

    def read_callback(self, request: Request, payload: Json) -> Result | Progress | ToolError | None:
        return news_of(payload)


class AsyncVerifier(Provider):
    """Verifies on a loop, as one that fetches keys does."""

    key: ClassVar[str] = "test.async_provider"

    async def verify_callback(self, delivery: Delivery) -> str:  # type: ignore[override] # the contract allows both
        await asyncio.sleep(0)
        return super().verify_callback(delivery)


class Unsigned(Adapter):
    """A provider that signs nothing and cannot cancel: the address alone is what shows that a webhook is its own."""

    key: ClassVar[str] = "test.unsigned"

    async def run(self, request: Request) -> Submitted:
        return Submitted(job_id=job_of(request.generation_id), poll_after=600)

    async def poll(self, request: Request, job_id: str) -> Progress:
        return Progress(poll_after=600)

    def read_callback(self, request: Request, payload: Json) -> Result | Progress | ToolError | None:
        return news_of(payload)


ALL: tuple[type[Adapter], ...] = (Provider, AsyncVerifier, Unsigned)


def register(monkeypatch: pytest.MonkeyPatch, *others: type[Adapter]) -> None:
    """Offer these adapters, with nothing said yet, and others beside them."""
    for each in (*ALL, *others):
        monkeypatch.setitem(registry.BUILT_IN, each.key, f"{each.__module__}:{each.__name__}")
    for name in ("answers", "asked", "cancelled"):
        getattr(Provider, name).clear()
    monkeypatch.setattr(Provider, "refusal", None)
    registry.forget()


def job_of(generation_id: Any) -> str:
    return f"job-{generation_id}"


def sign(body: bytes) -> str:
    return hmac.new(SECRET, body, hashlib.sha256).hexdigest()


def address_of(generation: Generation, *, adapter: str = Provider.key) -> str:
    return f"/api/v1/callbacks/{adapter}/{signed_id(adapter=adapter, generation_id=generation.pk)}/"


def send(generation: Generation, payload: Any, *, adapter: str = Provider.key, raw: bytes | None = None, **headers: str) -> Any:
    """Send a webhook of a generation's job, signed unless told otherwise. Each is a new delivery."""
    body = json.dumps(payload).encode() if raw is None else raw
    told = {"X-Signature": sign(body), "X-Delivery": str(uuid4()), "Accept": "text/plain"}
    told |= {name.replace("_", "-"): value for name, value in headers.items()}
    return ApiClient().post(address_of(generation, adapter=adapter), body, content_type="application/json", headers=told)


def do_errands(kind: Callable[..., Kind] = Callbacks) -> Sequence[Any]:
    """Do what is due of one kind of errand, as a conductor does, and return what came of each."""
    threads = Threads(each=1)
    doing = kind(threads=threads)
    jobs = doing.load(errands.claim(doing.model, limit=50))
    done = [asyncio.run(doing.do(job)) for job in jobs]
    threads.shut_down()
    _note(doing, done)
    return done
