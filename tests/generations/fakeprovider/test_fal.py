"""fal's own client accepts what the fake provider says, and understands how it fails."""

import base64
import hashlib
import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import fal_client
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fal_client.client import FalClientHTTPError, SyncClient
from PIL import Image

from tests.fakes import Mailbox, Received, Serving

APP = "fal-ai/flux/dev"


@pytest.fixture
def client(fake: Serving, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncClient]:
    """The client reaches fal by https alone; its addresses are all that we change."""
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{fake.url}/fal/")
    client = SyncClient(key=fake.key)
    with client._client:
        yield client


def verified(mail: Received, fake: Serving) -> Any:
    """Return the body of a webhook whose signature is by a published key, as fal's documentation has it verified."""
    keys = fake.request("GET", "/fal/.well-known/jwks.json", key="").json()["keys"]
    names = ("request-id", "user-id", "timestamp")
    message = [*(mail.headers[f"x-fal-webhook-{name}"] for name in names), hashlib.sha256(mail.body).hexdigest()]
    for key in keys:
        public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "=" * (-len(key["x"]) % 4)))
        public.verify(bytes.fromhex(mail.headers["x-fal-webhook-signature"]), "\n".join(message).encode())
    return mail.json


def test_subscribe_gives_a_real_picture(fake: Serving, client: SyncClient):
    seen: list[fal_client.Status] = []
    made = client.subscribe(
        APP, {"prompt": "a fox", "image_size": {"width": 96, "height": 64}, "num_images": 2}, on_queue_update=seen.append, with_logs=True
    )
    assert [Image.open(io.BytesIO(fake.file(each["url"]))).size for each in made["images"]] == [(96, 64), (96, 64)]
    assert isinstance(seen[-1], fal_client.Completed)
    [entry] = fake.ledger()
    assert Decimal(entry["usd"]) == Decimal(str(seen[-1].metrics["inference_time"])) * Decimal("0.0005")


def test_a_request_waits_in_the_queue_then_works(fake: Serving, client: SyncClient):
    handle = client.submit(APP, {"prompt": "a fox", "x-fake-hold": True})
    first = handle.status()
    assert isinstance(first, fal_client.Queued | fal_client.InProgress)
    while isinstance(handle.status(with_logs=True), fal_client.Queued):
        pass
    assert isinstance(handle.status(with_logs=True), fal_client.InProgress)
    early = fake.request("GET", handle.response_url.removeprefix(fake.url), scheme="Key")
    assert (early.status_code, early.json()) == (400, {"detail": "Request is still in progress"})
    fake.control("release", {})
    assert handle.get()["prompt"] == "a fox"


def test_a_failure_is_told_in_words_and_not_billed(fake: Serving, client: SyncClient):
    with pytest.raises(FalClientHTTPError) as failure:
        client.subscribe(APP, {"prompt": "a fox", "x-fake-fail": "Out of memory"})
    assert failure.value.status_code == 422
    assert "Out of memory" in str(failure.value.message)
    assert fake.ledger() == []


def test_a_request_is_cancelled_once(fake: Serving, client: SyncClient):
    handle = client.submit(APP, {"prompt": "a fox", "x-fake-hold": True})
    handle.cancel()
    assert isinstance(handle.status(), fal_client.Completed)
    assert fake.request("PUT", handle.cancel_url.removeprefix(fake.url), scheme="Key").json() == {"status": "ALREADY_COMPLETED"}
    assert fake.request("PUT", f"/fal/{APP}/requests/nobody/cancel", scheme="Key").json() == {"status": "NOT_FOUND"}


def test_a_stranger_is_refused(fake: Serving):
    assert fake.request("POST", f"/fal/{APP}", json={}, key="wrong", scheme="Key").status_code == 401
    assert fake.request("POST", f"/fal/{APP}", json={}, scheme="Bearer").status_code == 401


def test_a_picture_is_enlarged(fake: Serving, client: SyncClient):
    out = io.BytesIO()
    Image.new("RGB", (30, 20)).save(out, "PNG")
    made = client.subscribe("fal-ai/esrgan", {"image_url": fal_client.encode(out.getvalue(), "image/png"), "scale": 3})
    assert Image.open(io.BytesIO(fake.file(made["image"]["url"]))).size == (90, 60)


def test_an_uploaded_picture_is_enlarged(fake: Serving, client: SyncClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fal_client.client, "REST_URL", f"{fake.url}/fal")
    out = io.BytesIO()
    Image.new("RGB", (30, 20)).save(out, "PNG")
    url = client.upload(out.getvalue(), "image/png", file_name="a fox.png", repository="fal")
    assert fake.file(url) == out.getvalue()
    made = client.subscribe("fal-ai/esrgan", {"image_url": url})
    assert Image.open(io.BytesIO(fake.file(made["image"]["url"]))).size == (60, 40)


def test_an_input_that_is_no_picture_fails_the_request(client: SyncClient):
    with pytest.raises(FalClientHTTPError, match="cannot be fetched"):
        client.subscribe("fal-ai/esrgan", {"image_url": "http://127.0.0.1:1/fox.png"})


def test_the_webhook_is_signed(fake: Serving, client: SyncClient, box: Mailbox):
    handle = client.submit(APP, {"prompt": "a fox"}, webhook_url=box.url)
    told = verified(box.wait(1)[0], fake)
    assert (told["request_id"], told["status"], told["payload"]["prompt"]) == (handle.request_id, "OK", "a fox")


def test_the_webhook_of_a_failure_says_error(fake: Serving, client: SyncClient, box: Mailbox):
    client.submit(APP, {"prompt": "a fox", "x-fake-fail": "Out of memory"}, webhook_url=box.url)
    told = verified(box.wait(1)[0], fake)
    assert (told["status"], told["error"]) == ("ERROR", "Out of memory")


def test_a_signature_is_of_one_body_alone(fake: Serving, client: SyncClient, box: Mailbox):
    client.submit(APP, {"prompt": "a fox"}, webhook_url=box.url)
    mail = box.wait(1)[0]
    with pytest.raises(InvalidSignature):
        verified(Received(mail.path, mail.headers, mail.body + b" "), fake)
