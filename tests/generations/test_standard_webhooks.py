import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook
from standardwebhooks import webhooks as library

from generations.tools.contract import CallbackRefusedError, Delivery
from generations.tools.standard_webhooks import verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)


def signed(*, at: float | None = None, secret: str = SECRET, body: bytes = BODY) -> dict[str, str]:
    moment = datetime.fromtimestamp(int(time.time() if at is None else at), UTC)
    signature = Webhook(secret).sign(msg_id=ID, timestamp=moment, data=body.decode())
    return {"webhook-id": ID, "webhook-timestamp": str(int(moment.timestamp())), "webhook-signature": signature}


def check(headers, *, body: bytes = BODY, secret_env: str = "HOOK_SECRET") -> str:
    return verify(Delivery(tool="replicate", config={}, headers=headers, body=body), secret_env=secret_env)


def test_the_published_vector_holds(monkeypatch):
    class Then(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.fromtimestamp(1614265330, tz)

    monkeypatch.setattr(library, "datetime", Then)
    headers = {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert check(headers) == ID


def test_a_signature_of_now_holds():
    assert check(signed()) == ID


def test_any_of_several_signatures_is_enough():
    other = signed(secret="whsec_" + "A" * 32)["webhook-signature"]
    headers = signed()
    assert check({**headers, "webhook-signature": f"v2,later nonsense,, {other} {headers['webhook-signature']}"}) == ID


@pytest.mark.parametrize("seconds", [-310, 310])
def test_a_delivery_of_another_time_is_refused(seconds):
    with pytest.raises(CallbackRefusedError, match="timestamp too"):
        check(signed(at=time.time() + seconds))


@pytest.mark.parametrize("seconds", [-280, 280])
def test_clocks_may_differ_by_five_minutes(seconds):
    assert check(signed(at=time.time() + seconds)) == ID


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "nan"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,not base64"},
        {"webhook-signature": "v1," + "A" * 43 + "="},
        {"webhook-signature": "v1a," + "A" * 43 + "="},
        {"webhook-signature": "\u00e4" * 50},
        {"webhook-id": ""},
        {"webhook-id": "m" * 1000},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_whatever_was_tampered_with_is_refused(changes):
    with pytest.raises(CallbackRefusedError):
        check({**signed(), **changes})


def test_the_time_is_signed_too():
    with pytest.raises(CallbackRefusedError):
        check({**signed(), "webhook-timestamp": str(int(time.time()) - 3)})


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_must_be_there(name):
    headers = signed()
    del headers[name]
    with pytest.raises(CallbackRefusedError):
        check(headers)


@pytest.mark.parametrize("body", [b'{"test": 2432232315}', b"", b'{"test": 2432232314} ', b"\xff\xfe"])
def test_another_body_is_refused(body):
    with pytest.raises(CallbackRefusedError):
        check(signed(), body=body)


def test_a_good_signature_beyond_the_tenth_is_not_looked_at():
    headers = signed()
    wrong = " ".join(["v1," + "A" * 43 + "="] * 10)
    with pytest.raises(CallbackRefusedError):
        check({**headers, "webhook-signature": f"{wrong} {headers['webhook-signature']}"})


@pytest.mark.parametrize(
    ("value", "why"), [("", "is not set"), ("whsec_\u00e4", "holds no signing secret"), ("whsec_", "holds no signing secret")]
)
def test_without_a_secret_nothing_is_accepted(monkeypatch, value, why):
    monkeypatch.setenv("HOOK_SECRET", value)
    with pytest.raises(CallbackRefusedError, match=why):
        check(signed())
