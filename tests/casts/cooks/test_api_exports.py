"""Exports over the API: begun, watched, fetched in parts, published; by their owners alone."""

import io
import zipfile
from collections import Counter

import pytest

from casts.cooks import exporting
from casts.models import AttemptStatus, Export, ExportItem
from generations import artifacts
from tests.api import assert_problem, client_of, get, people, post
from tests.casts.test_api_parallel import at_once
from tests.factories import UserFactory

from .test_exports import begun, cook_of, ready

pytestmark = pytest.mark.django_db


def test_an_export_is_begun_prepared_fetched_and_published():
    cook = cook_of(3)
    client = client_of(cook.initiator)
    answer = post(client, "/exports/", {"cook": cook.pk, "pieces": "made", "shuffle_seed": 5, "base_uri": "ipfs://abc/"})
    assert (answer.status_code, answer.json()["status"], answer.json()["archive"]) == (201, "preparing", None)
    path = f"/exports/{answer.json()['id']}/"
    assert answer.headers["Location"].endswith(path)
    assert_problem(get(client, f"{path}archive/"), 409, name="export-refused")
    assert_problem(post(client, f"{path}publish/"), 409, name="export-refused")
    ready(Export.objects.get())
    told = get(client, path).json()
    assert (told["status"], told["prepared"], told["total"]) == ("ready", 3, 3)
    assert told["archive"].endswith(f"{path}archive/")
    fetched = get(client, f"{path}archive/")
    data = b"".join(fetched.streaming_content)
    assert (fetched.headers["Content-Type"], int(fetched.headers["Content-Length"])) == ("application/zip", len(data))
    with zipfile.ZipFile(io.BytesIO(data)) as read:
        assert read.testzip() is None
        assert b'"ipfs://abc/0001.png"' in read.read("metadata/0001.json")
    assert post(client, f"{path}publish/").json()["published_at"]
    assert [row["id"] for row in get(client, "/exports/", {"cook": cook.pk, "status": "ready"}).json()["results"]] == [told["id"]]


def test_a_fetch_that_broke_off_goes_on_where_it_stood():
    export = ready(begun(cook_of(4)))
    client = client_of(export.cook.initiator)
    path = f"/exports/{export.pk}/archive/"
    whole = get(client, path)
    data = b"".join(whole.streaming_content)
    rest = get(client, path, Range="bytes=150-", If_Range=whole.headers["ETag"])
    assert (rest.status_code, b"".join(rest.streaming_content)) == (206, data[150:])
    assert rest.headers["Content-Range"] == f"bytes 150-{len(data) - 1}/{len(data)}"
    part = get(client, path, Range="bytes=31-99")
    assert b"".join(part.streaming_content) == data[31:100]
    assert get(client, path, If_None_Match=whole.headers["ETag"]).status_code == 304
    assert_problem(get(client, path, Range=f"bytes={len(data)}-"), 416)


def test_the_same_request_again_gets_the_same_export_whatever_became_of_its_pieces_meanwhile():
    cook = cook_of(2)
    client = client_of(cook.initiator)
    body = {"cook": cook.pk, "pieces": "made"}
    first = post(client, "/exports/", body, Idempotency_Key="k")
    ready(Export.objects.get())
    cook.piece_attempts.update(status=AttemptStatus.SUPERSEDED)
    again = post(client, "/exports/", body, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.headers["Location"] == again.headers["Location"]
    assert (again.json()["status"], again.json()["idempotency_key"]) == ("ready", "k")
    assert_problem(post(client, "/exports/", {**body, "shuffle_seed": 1}, Idempotency_Key="k"), 409, name="idempotency-key-reused")
    assert_problem(post(client, "/exports/", body, Idempotency_Key="a b"), 400)
    assert Export.objects.count() == 1


def test_a_key_is_known_to_who_used_it_alone():
    cook = cook_of(1)
    body = {"cook": cook.pk, "pieces": "made"}
    for client in (client_of(cook.initiator), client_of(UserFactory.create(is_staff=True))):
        assert post(client, "/exports/", body, Idempotency_Key="k").status_code == 201


@pytest.mark.django_db(transaction=True)
def test_many_requests_with_one_key_begin_one_export():
    cook = cook_of(3)
    clients = [client_of(cook.initiator) for _ in range(10)]
    body = {"cook": cook.pk, "pieces": "made"}
    answers = at_once(lambda n: post(clients[n], "/exports/", body, Idempotency_Key="k"), crowd=10)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 9}
    assert (Export.objects.count(), ExportItem.objects.count()) == (1, 3)


@pytest.mark.parametrize(("who", "status"), [("anonymous", 401), ("stranger", 404), ("owner", 200), ("staff", 200)])
def test_only_the_owner_of_a_cook_and_the_staff_may_export_it(who: str, status: int):
    crowd = people()
    cook = cook_of(1, owner=crowd["owner"])
    export = ready(begun(cook))
    client = client_of(crowd[who])
    assert post(client, "/exports/", {"cook": cook.pk, "pieces": "made"}).status_code == {200: 201, 404: 422}.get(status, status)
    assert get(client, f"/exports/{export.pk}/").status_code == status
    assert get(client, f"/exports/{export.pk}/archive/").status_code == status
    assert post(client, f"/exports/{export.pk}/publish/").status_code == status
    listed = get(client, "/exports/")
    assert listed.status_code == (401 if who == "anonymous" else 200)
    assert status == 401 or bool(listed.json()["results"]) == (status == 200)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "cook"),
        ({"cook": True}, "cook"),
        ({"pieces": "all"}, "pieces"),
        ({"name_template": "{{ x }}"}, "name_template"),
        ({"base_uri": "a b"}, "base_uri"),
        ({"shuffle_seed": -1}, "shuffle_seed"),
        ({"pieces": "accepted"}, "cook"),
    ],
)
def test_what_says_nothing_sensible_is_refused_with_its_place(body, place):
    cook = cook_of(1)
    said = {} if not body else {"cook": cook.pk, "pieces": "made", **body}
    assert_problem(post(client_of(cook.initiator), "/exports/", said), 422, place)
    assert not Export.objects.exists()


def test_nothing_is_opened_before_it_is_sent(monkeypatch: pytest.MonkeyPatch):
    export = ready(begun(cook_of(2)))
    opened: list[str] = []

    def open_stored(sha256: str):
        opened.append(sha256)
        return artifacts.open_stored(sha256)

    monkeypatch.setattr(exporting, "open_stored", open_stored)
    answer = get(client_of(export.cook.initiator), f"/exports/{export.pk}/archive/")
    assert opened == []
    b"".join(answer.streaming_content)
    assert len(opened) == 2
