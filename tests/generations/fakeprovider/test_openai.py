"""OpenAI's own client accepts what the fake provider says, and understands how it fails."""

import base64
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import openai
import pytest
from openai import OpenAI
from PIL import Image

from tests.fakes import Mailbox, Serving, fake_provider
from tests.processes import wait_for

SCENES = {
    "type": "object",
    "required": ["title", "scenes"],
    "properties": {
        "title": {"type": "string"},
        "scenes": {
            "type": "array",
            "minItems": 2,
            "maxItems": 4,
            "items": {"type": "object", "properties": {"title": {"type": "string"}, "text": {"type": "string", "maxLength": 80}}},
        },
    },
}


def client_of(fake: Serving, **options: Any) -> OpenAI:
    return OpenAI(
        **{
            "api_key": fake.key,
            "base_url": f"{fake.url}/openai/v1",
            "max_retries": 0,
            "webhook_secret": fake.settings.webhook_secret,
            **options,
        }
    )


@pytest.fixture
def client(fake: Serving) -> Iterator[OpenAI]:
    with client_of(fake) as client:
        yield client


def ask(client: OpenAI, question: str, **options: Any) -> Any:
    return client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": question}], **options)


def test_a_chat_answers_and_its_tokens_are_billed(fake: Serving, client: OpenAI):
    completion = ask(client, "Summarise:\n\nOne came. Two went. Three stayed.")
    assert completion.choices[0].message.content == "One came. Two went."
    assert completion.choices[0].finish_reason == "stop"
    usage = completion.usage
    [entry] = fake.ledger()
    expected = usage.prompt_tokens * Decimal("0.15") + usage.completion_tokens * Decimal("0.6")
    assert Decimal(entry["usd"]) == expected / 1_000_000
    assert entry["id"] == completion.id


def test_the_same_question_has_the_same_answer(client: OpenAI):
    assert ask(client, "A story about a fox.").choices[0].message.content == ask(client, "A story about a fox.").choices[0].message.content


def test_another_model_has_another_answer(client: OpenAI):
    told = [client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Of a fox."}]) for model in ("one", "other")]
    assert len({completion.choices[0].message.content for completion in told}) == 2


def test_an_answer_by_a_schema_fits_it(client: OpenAI):
    form = {"type": "json_schema", "json_schema": {"name": "story", "schema": SCENES, "strict": True}}
    story = json.loads(ask(client, "Tell a story about a fox in 3 scenes.", response_format=form).choices[0].message.content)
    assert len(story["scenes"]) == 3
    assert all(scene["text"] and len(scene["text"]) <= 80 for scene in story["scenes"])


def test_json_must_be_spoken_of_when_it_is_wanted(client: OpenAI):
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        ask(client, "A fox.", response_format={"type": "json_object"})
    assert json.loads(ask(client, "A fox, as JSON.", response_format={"type": "json_object"}).choices[0].message.content)


def test_a_long_answer_is_cut_off(client: OpenAI):
    completion = ask(client, "A story about a fox.", max_completion_tokens=3)
    assert (completion.choices[0].finish_reason, completion.usage.completion_tokens) == ("length", 3)


def test_one_idempotency_key_is_one_answer_and_one_bill_also_at_once(fake: Serving, client: OpenAI):
    headers = {"Idempotency-Key": "one"}
    fake.tell(latency=0.2)
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: ask(client, "A fox.", extra_headers=headers).id, range(5)))
    assert len(set(answers)) == 1
    [entry] = fake.ledger()
    assert entry["idempotency_key"] == "one"
    with pytest.raises(openai.BadRequestError, match="same parameters"):
        ask(client, "A wolf.", extra_headers=headers)


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"status": 429, "retry_after": 2}, openai.RateLimitError),
        ({"status": 503}, openai.InternalServerError),
        ({"drop": "before"}, openai.APIConnectionError),
        ({"hang": True}, openai.APITimeoutError),
    ],
)
def test_what_is_told_to_fail_fails_unbilled(fake: Serving, told: dict[str, Any], error: type[Exception]):
    fake.tell(dialect="openai", match="chat", **told)
    with client_of(fake, timeout=1) as client:
        with pytest.raises(error):
            ask(client, "A fox.")
        assert fake.ledger() == []
        assert ask(client, "A fox."), "a rule is for as many requests as it says"


def test_an_answer_that_is_lost_on_its_way_is_billed(fake: Serving, client: OpenAI):
    fake.tell(drop="after")
    with pytest.raises(openai.APIConnectionError):
        ask(client, "A fox.")
    assert len(fake.ledger()) == 1


def test_a_stranger_is_refused(fake: Serving):
    with client_of(fake, api_key="wrong") as client, pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        ask(client, "A fox.")


def test_pictures_come_by_address_or_whole(fake: Serving, client: OpenAI):
    by_url = client.images.generate(model="dall-e-3", prompt="a fox", size="256x256").data[0]
    assert Image.open(io.BytesIO(fake.file(by_url.url))).size == (256, 256)
    assert by_url.revised_prompt.startswith("a fox")
    whole = client.images.generate(model="gpt-image-1", prompt="a fox", n=2, size="1024x1024")
    assert [Image.open(io.BytesIO(base64.b64decode(each.b64_json))).format for each in whole.data] == ["PNG", "PNG"]
    assert whole.usage.total_tokens > 0
    assert [Decimal(entry["usd"]) for entry in fake.ledger()] == [Decimal("0.04"), Decimal("0.08")]


def test_a_picture_is_edited(client: OpenAI):
    out = io.BytesIO()
    Image.new("RGB", (30, 20)).save(out, "PNG")
    edited = client.images.edit(model="gpt-image-1", image=("fox.png", out.getvalue(), "image/png"), prompt="add a hat").data[0]
    assert Image.open(io.BytesIO(base64.b64decode(edited.b64_json))).size == (30, 20)


def test_a_response_in_the_background_goes_its_way_and_its_webhook_is_theirs(box: Mailbox):
    with fake_provider(openai_webhook=box.url) as fake, client_of(fake) as client:
        response = client.responses.create(
            model="gpt-4o-mini", input="A story about a fox.", background=True, metadata={"generation": "g-1"}
        )
        assert response.status == "queued"
        [mail] = box.wait(1)
        event: Any = client.webhooks.unwrap(mail.body, dict(mail.headers))
        assert (event.type, event.data.id) == ("response.completed", response.id)
        done = client.responses.retrieve(response.id)
        assert done.status == "completed"
        assert done.output_text
        [entry] = fake.ledger()
        assert entry["metadata"] == {"generation": "g-1"}
        tokens = done.usage
        assert Decimal(entry["usd"]) == (tokens.input_tokens * Decimal("0.15") + tokens.output_tokens * Decimal("0.6")) / 1_000_000


def test_a_response_without_background_is_waited_for_and_may_be_incomplete(client: OpenAI):
    response = client.responses.create(model="gpt-4o-mini", input="A story about a fox.", max_output_tokens=2)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_response_is_cancelled_and_not_billed(fake: Serving, client: OpenAI):
    fake.tell(hold=True)
    response = client.responses.create(model="gpt-4o-mini", input="A fox.", background=True)
    assert client.responses.cancel(response.id).status == "cancelled"
    assert fake.ledger() == []


def test_a_response_that_is_held_ends_when_it_is_released(fake: Serving, client: OpenAI):
    fake.tell(hold=True, fail="The model broke.")
    response = client.responses.create(model="gpt-4o-mini", input="A fox.", background=True)
    assert fake.control("release", {"job": response.id}) == {"released": 1}
    failed = client.responses.retrieve(response.id)
    assert (failed.status, failed.error.message) == ("failed", "The model broke.")


def test_a_response_that_is_lost_is_not_found(fake: Serving, client: OpenAI):
    fake.tell(lose=True)
    response = client.responses.create(model="gpt-4o-mini", input="A fox.", background=True)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_a_webhook_can_be_sent_again(box: Mailbox):
    with fake_provider(openai_webhook=box.url) as fake, client_of(fake) as client:
        response = client.responses.create(model="gpt-4o-mini", input="A fox.", background=True)
        box.wait(1)
        wait_for("it was delivered", lambda: fake.control("webhooks")["counts"].get("delivered"))
        fake.control("webhooks", {"job": response.id})
        assert len({mail.headers["webhook-id"] for mail in box.wait(2)}) == 1
