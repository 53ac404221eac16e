"""fal's signatures, by keys made here."""

import base64
import hashlib
import json
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from generations.tools import fal_signatures, registry
from generations.tools.contract import CallbackRefusedError, Delivery, ToolError
from generations.tools.fal_signatures import source_of, verify

from .toolbox import awaited
from .website import website

BODY = b'{"request_id": "r1", "status": "OK"}'


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setattr(fal_signatures, "_sources", type(fal_signatures._sources)())


@pytest.fixture
def site():
    with website() as server:
        yield server


@pytest.fixture
def signer():
    return Ed25519PrivateKey.generate()


def jwk(signer, **more):
    x = base64.urlsafe_b64encode(signer.public_key().public_bytes_raw()).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, **more}


def publish(site, *keys, **page):
    return site.put("/keys", {"keys": list(keys)}, **page)


def signed(signer, *, at=None, body=BODY, request_id="r1", user_id="u|1"):
    timestamp = str(int(time.time() if at is None else at))
    message = "\n".join([request_id, user_id, timestamp, hashlib.sha256(body).hexdigest()])
    return {
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": user_id,
        "x-fal-webhook-timestamp": timestamp,
        "x-fal-webhook-signature": signer.sign(message.encode()).hex(),
    }


def check(url, headers, *, body=BODY):
    return awaited(verify(Delivery(tool="fal", config={}, headers=headers, body=body), keys_url=url))


def test_a_signature_by_a_published_key_holds(site, signer):
    other = Ed25519PrivateKey.generate()
    assert check(publish(site, jwk(other), jwk(signer)), signed(signer)) == "r1"


def test_keys_are_asked_for_once(site, signer):
    url = publish(site, jwk(signer))
    for _ in range(3):
        check(url, signed(signer))
    assert len(site.seen) == 1


def test_many_at_once_ask_once(site, signer):
    url = publish(site, jwk(signer))
    headers, done = signed(signer), []
    threads = [threading.Thread(target=lambda: done.append(check(url, headers))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == ["r1"] * 8
    assert len(site.seen) == 1


def test_an_unknown_key_is_looked_for_at_most_once_a_minute(site, signer, monkeypatch):
    url = publish(site, jwk(Ed25519PrivateKey.generate()))
    for _ in range(3):
        with pytest.raises(CallbackRefusedError, match="does not hold"):
            check(url, signed(signer))
    assert len(site.seen) == 1
    publish(site, jwk(signer))
    with pytest.raises(CallbackRefusedError):
        check(url, signed(signer))
    source_of(url).asked_at -= 61
    assert check(url, signed(signer)) == "r1"
    assert len(site.seen) == 2


def test_keys_of_yesterday_are_not_used(site, signer):
    url = publish(site, jwk(signer))
    check(url, signed(signer))
    publish(site, jwk(Ed25519PrivateKey.generate()))
    source_of(url).fetched_at -= 24 * 3600 + 1
    source_of(url).asked_at -= 61
    with pytest.raises(CallbackRefusedError, match="does not hold"):
        check(url, signed(signer))


def test_keys_that_hold_are_used_while_new_ones_cannot_be_had(site, signer):
    url = publish(site, jwk(signer))
    check(url, signed(signer))
    publish(site, status=500)
    source_of(url).asked_at -= 61
    for _ in range(3):
        with pytest.raises(ToolError, match="500"):  # it may be by a key that is new
            check(url, signed(Ed25519PrivateKey.generate()))
        assert check(url, signed(signer)) == "r1"
    assert len(site.seen) == 2


@pytest.mark.parametrize("failure", [{"status": 500}, {"drop": True}, {"body": b'{"keys": []}'}], ids=str)
def test_while_keys_cannot_be_had_nobody_is_refused_and_they_are_asked_for_now_and_then(site, signer, failure):
    url = site.put("/keys", failure.pop("body", b""), **failure)
    for _ in range(5):
        with pytest.raises(ToolError):
            check(url, signed(signer))
    assert len(site.seen) == 1
    publish(site, jwk(signer))
    source_of(url).asked_at -= fal_signatures.ASK_AGAIN_AFTER_FAILURE_SECONDS
    assert check(url, signed(signer)) == "r1"
    with pytest.raises(CallbackRefusedError, match="does not hold"):
        check(url, signed(Ed25519PrivateKey.generate()))
    assert len(site.seen) == 2


@pytest.mark.parametrize("seconds", [-310, 310])
def test_a_delivery_of_another_time_is_refused(site, signer, seconds):
    with pytest.raises(CallbackRefusedError, match="another time"):
        check(publish(site, jwk(signer)), signed(signer, at=time.time() + seconds))
    assert site.seen == []


@pytest.mark.parametrize("seconds", [-290, 290])
def test_clocks_may_differ_by_five_minutes(site, signer, seconds):
    assert check(publish(site, jwk(signer)), signed(signer, at=time.time() + seconds)) == "r1"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("request-id", "r2"),
        ("user-id", "u|2"),
        ("timestamp", "0"),
        ("timestamp", "soon"),
        ("timestamp", "-5"),
        ("timestamp", "1e9"),
        ("timestamp", "٣"),
        ("timestamp", "9" * 300),
        ("signature", "00" * 64),
        ("signature", "zz"),
        ("signature", "abc"),
        ("signature", "ab"),
        ("signature", "\u00e4" * 128),
        ("request-id", "\u00e4"),
        ("signature", ""),
        ("request-id", ""),
        ("user-id", "u" * 1000),
    ],
    ids=lambda value: value[:20],
)
def test_whatever_was_tampered_with_is_refused(site, signer, header, value):
    headers = {**signed(signer), f"x-fal-webhook-{header}": value}
    with pytest.raises(CallbackRefusedError):
        check(publish(site, jwk(signer)), headers)


@pytest.mark.parametrize("name", ["request-id", "user-id", "timestamp", "signature"])
def test_each_header_must_be_there(site, signer, name):
    headers = signed(signer)
    del headers[f"x-fal-webhook-{name}"]
    with pytest.raises(CallbackRefusedError, match="not signed"):
        check(publish(site, jwk(signer)), headers)


@pytest.mark.parametrize("body", [b"", BODY + b" ", b"\xff"])
def test_another_body_is_refused(site, signer, body):
    with pytest.raises(CallbackRefusedError, match="does not hold"):
        check(publish(site, jwk(signer)), signed(signer), body=body)


@pytest.mark.parametrize(
    "page",
    [
        {"status": 500},
        {"drop": True},
        {"body": b"no json"},
        {"body": b"[]"},
        {"body": json.dumps({"keys": [{"x": "AA"}] * 30}).encode()},
        {"body": json.dumps({"keys": [{"x": "A" * 200}]}).encode()},
        {"body": b'{"keys": [' + b" " * 70_000 + b"]}"},
    ],
    ids=lambda page: str(page)[:30],
)
def test_without_keys_nothing_is_accepted(site, signer, page):
    url = site.put("/keys", page.pop("body", b""), **page)
    with pytest.raises(ToolError):
        check(url, signed(signer))


def test_keys_of_other_kinds_are_passed_over(site, signer):
    others = [{"kty": "RSA", "x": "AQAB"}, {"kty": "OKP", "x": "AA"}, {"kty": "OKP", "x": "\u00e4"}, {}]
    assert check(publish(site, *others, jwk(signer)), signed(signer)) == "r1"


def test_what_is_known_of_addresses_is_bounded():
    for number in range(100):
        source_of(f"https://keys.test/{number}")
    assert len(fal_signatures._sources) == fal_signatures.MAX_SOURCES


def test_the_configuration_says_where_the_keys_are(site, signer):
    adapter = registry.get("fal")
    config = {"application": "a/b", "webhook_keys_url": publish(site, jwk(signer))}
    delivery = Delivery(tool="fal", config=config, headers=signed(signer), body=BODY)
    assert awaited(adapter.verify_callback(delivery)) == "r1"
    unsigned = Delivery(tool="fal", config={"application": "a/b", "webhook_keys_url": ""}, headers={}, body=BODY)
    assert awaited(adapter.verify_callback(unsigned)) == ""
