"""Replicate's own client accepts what the fake provider says, and understands how it fails."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
import replicate
from PIL import Image
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.webhook import WebhookSigningSecret

from tests.fakes import Mailbox, Serving, fake_provider

MODEL = "black-forest-labs/flux-schnell"


@contextmanager
def client_of(fake: Serving, *, key: str | None = None) -> Iterator[Client]:
    client = Client(api_token=fake.key if key is None else key, base_url=f"{fake.url}/replicate")
    client.poll_interval = 0.01
    with client._client:
        yield client


@pytest.fixture
def client(fake: Serving) -> Iterator[Client]:
    with client_of(fake) as client:
        yield client


def picture_at(fake: Serving, url: str) -> Image.Image:
    """Fetch a picture as an adapter does; the client wraps addresses by https alone."""
    return Image.open(io.BytesIO(fake.file(url)))


def test_run_gives_a_real_picture(fake: Serving, client: Client):
    [url] = client.run(MODEL, input={"prompt": "a fox", "width": 96, "height": 64})
    picture = picture_at(fake, url)
    assert (picture.format, picture.size) == ("PNG", (96, 64))


def test_run_by_version_gives_as_many_as_were_asked_for(client: Client):
    assert len(list(client.run(f"{MODEL}:{'a' * 64}", input={"prompt": "a fox", "num_outputs": 3}))) == 3


def test_a_model_that_writes_gives_its_text_in_pieces(client: Client):
    said = client.run("meta/meta-llama-3-8b-instruct", input={"prompt": "Translate into German:\n\nGood morning."})
    assert "".join(said) == "[german] Good morning."


def test_a_prediction_can_be_waited_for(client: Client):
    prediction = client.models.predictions.create(MODEL, input={"prompt": "a fox"})
    assert (prediction.dict()["status"], prediction.output) == ("starting", None)
    prediction.wait()
    assert prediction.dict()["status"] == "succeeded"
    assert prediction.progress.percentage == 1
    assert prediction.metrics["predict_time"] > 0
    assert prediction.id in [each.id for each in client.predictions.list()]


def test_a_wait_that_is_too_short_gives_a_snapshot(fake: Serving):
    fake.tell(latency=60)
    told = fake.request("POST", f"/replicate/v1/models/{MODEL}/predictions", json={"input": {}}, headers={"Prefer": "wait=1"})
    assert (told.status_code, told.json()["status"], told.json()["output"]) == (201, "starting", None)


def test_a_failure_is_told_in_the_models_words_and_billed(fake: Serving, client: Client):
    with pytest.raises(ModelError, match="NSFW content detected"):
        client.run(MODEL, input={"prompt": "a fox", "x-fake-fail": "NSFW content detected"}, wait=False)
    [entry] = fake.ledger()
    assert entry["status"] == "failed"
    assert Decimal(entry["usd"]) > 0


def test_a_prediction_is_cancelled_and_charged_for_what_it_worked(fake: Serving, client: Client):
    prediction = client.models.predictions.create(MODEL, input={"prompt": "a fox", "x-fake-hold": True, "x-fake-latency": 0.05})
    while prediction.status == "starting":
        prediction.reload()
    prediction.cancel()
    assert prediction.dict()["status"] == "canceled"
    [entry] = fake.ledger()
    assert Decimal(entry["usd"]) == Decimal(str(prediction.metrics["predict_time"])) * Decimal("0.00115")


def test_what_never_started_is_not_charged(fake: Serving):
    path = f"/replicate/v1/models/{MODEL}/predictions"
    told = fake.request("POST", path, json={"input": {"x-fake-latency": 600}}, headers={"Cancel-After": "1s", "Prefer": "wait=5"}).json()
    assert told["status"] == "aborted"
    assert fake.ledger() == []


def test_a_stranger_is_refused(fake: Serving):
    with client_of(fake, key="wrong") as client, pytest.raises(ReplicateError) as refusal:
        client.run(MODEL, input={})
    assert (refusal.value.status, refusal.value.title) == (401, "Unauthenticated")


def test_a_prediction_that_nobody_knows_is_not_found(client: Client):
    with pytest.raises(ReplicateError) as refusal:
        client.predictions.get("nobody")
    assert refusal.value.status == 404


def test_throttling_says_so(fake: Serving, client: Client):
    fake.tell(status=429, retry_after=7)
    with pytest.raises(ReplicateError, match="throttled"):
        client.models.predictions.create(MODEL, input={})
    assert fake.ledger() == []


def test_an_uploaded_picture_is_enlarged(fake: Serving, client: Client):
    small = io.BytesIO()
    Image.new("RGB", (30, 20), "#336699").save(small, "PNG")
    large: Any = client.run("nightmareai/real-esrgan", input={"image": small, "scale": 4})
    assert picture_at(fake, large).size == (120, 80)
    assert [file.size for file in client.files.list()] == [len(small.getvalue())]


def test_webhooks_come_in_order_and_are_signed(fake: Serving, client: Client, box: Mailbox):
    secret = client.webhooks.default.secret()
    prediction = client.models.predictions.create(MODEL, input={"prompt": "a fox"}, webhook=box.url)
    mails = box.wait(3)
    assert [mail.json["status"] for mail in mails] == ["processing", "processing", "succeeded"]
    assert {mail.json["id"] for mail in mails} == {prediction.id}
    for mail in mails:
        replicate.webhooks.validate(headers=dict(mail.headers), body=mail.body.decode(), secret=secret, tolerance=300)
    assert len({mail.headers["webhook-id"] for mail in mails}) == 3
    assert secret == WebhookSigningSecret(key=fake.settings.webhook_secret)


def test_only_the_events_that_were_wanted_are_sent(client: Client, box: Mailbox):
    prediction = client.models.predictions.create(MODEL, input={}, webhook=box.url, webhook_events_filter=["completed"])
    prediction.wait()
    assert [mail.json["status"] for mail in box.wait(1)] == ["succeeded"]


def test_the_last_webhook_is_tried_again_under_the_same_id(client: Client, box: Mailbox):
    box.statuses = [503, 500]
    client.models.predictions.create(MODEL, input={}, webhook=box.url, webhook_events_filter=["completed"])
    assert len({mail.headers["webhook-id"] for mail in box.wait(3)}) == 1


@pytest.mark.parametrize(("told", "count"), [("lose", 0), ("double", 2), ("late", 1)])
def test_webhooks_are_lost_doubled_and_late(fake: Serving, client: Client, box: Mailbox, told: str, count: int):
    inputs = {"x-fake-webhooks": told}
    client.models.predictions.create(MODEL, input=inputs, webhook=box.url, webhook_events_filter=["completed"]).wait()
    box.wait(count)
    counts = fake.control("webhooks")["counts"]
    assert counts[{"lose": "lost", "double": "doubled", "late": "late"}[told]] == 1


def test_webhooks_can_come_out_of_order(client: Client, box: Mailbox):
    client.models.predictions.create(MODEL, input={"x-fake-webhooks": "reorder"}, webhook=box.url)
    assert [mail.json["status"] for mail in box.wait(3)] == ["succeeded", "processing", "processing"]


@pytest.mark.parametrize("written", ["01890A5D-ac96-774b-bcce-b302099a8057:signed", "01890a5dac96774bbcceb302099a8057.signed"])
def test_the_ledger_names_the_generation_of_the_webhooks_address(fake: Serving, client: Client, box: Mailbox, written: str):
    hook = f"{box.url}/api/v1/callbacks/replicate/{written}/"
    client.models.predictions.create(MODEL, input={}, webhook=hook).wait()
    [entry] = fake.ledger()
    assert entry["generation_id"] == "01890a5d-ac96-774b-bcce-b302099a8057"
    assert [line["unit"] for line in entry["lines"]] == ["per_second"]


def test_files_expire_and_ended_predictions_are_forgotten():
    with fake_provider(forget_seconds=0.05, file_seconds=0.05) as fake, client_of(fake) as client:
        prediction = client.models.predictions.create(MODEL, input={"prompt": "a fox"}, wait=1)
        assert prediction.output
        [url] = prediction.output
        while fake.request("GET", f"/replicate/v1/predictions/{prediction.id}").status_code == 200:
            pass
        assert fake.request("GET", url.removeprefix(fake.url)).status_code == 404
