"""Keys and sessions: who is let in, as whom, and who is not."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from knox.models import AuthToken

from casts.models import Cast
from config.authentication import keys_beginning_with
from tests.api import ApiClient, assert_problem, get, post
from tests.factories import UserFactory, published

pytestmark = pytest.mark.django_db


def key_of(user, **options):
    return AuthToken.objects.create(user, **options)


def asking(authorization):
    return get(ApiClient(), "/casts/", Authorization=authorization)


def test_a_key_lets_its_user_in_with_one_query():
    _, key = key_of(UserFactory.create())
    with CaptureQueriesContext(connection) as captured:
        assert asking(f"Bearer {key}").status_code == 200
    assert [query["sql"] for query in captured if "knox" in query["sql"]][1:] == []
    assert asking(f"bearer {key}").status_code == 200


def test_keys_are_read_with_their_users_as_the_orm_reads_them():
    for days in (None, timedelta(days=3)):
        kept, _ = key_of(UserFactory.create(first_name="Ä"), expiry=days)
        [expected] = AuthToken.objects.filter(token_key=kept.token_key).select_related("user")
        [found] = keys_beginning_with(kept.token_key)
        for one, other in ((found, expected), (found.user, expected.user)):
            assert type(one) is type(other)
            assert [getattr(one, field.attname) for field in one._meta.concrete_fields] == [
                getattr(other, field.attname) for field in other._meta.concrete_fields
            ]
    assert list(keys_beginning_with("a" * 15)) == []


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer a b",
        "Bearer é",
        "Bearer \x00",
        "Bearer " + "a" * 5000,
        "Basic YWRhOnB3",
        "Token {key}",
        "{key}",
        "",
    ],
)
def test_what_is_no_key_lets_nobody_in(authorization):
    _, key = key_of(UserFactory.create())
    response = asking(authorization.format(key=key))
    assert_problem(response, 401)
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_wrong_key_with_the_right_beginning_lets_nobody_in():
    _, key = key_of(UserFactory.create())
    assert_problem(asking(f"Bearer {key[:-1]}{'0' if key[-1] != '0' else '1'}"), 401)


def test_a_key_that_is_wrong_is_told_so_also_where_none_is_needed():
    assert_problem(get(ApiClient(), "/spells/", Authorization="Bearer nonsense"), 401)
    assert get(ApiClient(), "/spells/").status_code == 200


def test_an_expired_key_lets_nobody_in_and_nothing_is_written():
    _, key = key_of(UserFactory.create(), expiry=timedelta(days=1))
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    assert_problem(asking(f"Bearer {key}"), 401)
    assert AuthToken.objects.count() == 1


def test_the_key_of_an_inactive_user_lets_nobody_in():
    _, key = key_of(UserFactory.create(is_active=False))
    assert_problem(asking(f"Bearer {key}"), 401)


def test_keys_are_hashed_at_rest():
    _, key = key_of(UserFactory.create())
    row = AuthToken.objects.values().get()
    assert key not in str(row)
    assert row["token_key"] == key[:15]


def test_a_session_lets_its_user_read():
    client = ApiClient()
    client.force_login(UserFactory.create())
    assert get(client, "/casts/").status_code == 200


def test_a_session_changes_nothing_without_a_csrf_token():
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    client = ApiClient(enforce_csrf_checks=True)
    client.force_login(ada)
    told = assert_problem(post(client, "/casts/", {"spell": "story"}), 403)
    assert "CSRF" in told["detail"]
    assert not Cast.objects.exists()
    client.cookies["csrftoken"] = token = "a" * 32
    headers = {"X-CSRFToken": token, "Referer": "https://testserver/"}
    assert post(client, "/casts/", {"spell": "story"}, **headers).status_code == 201


def test_a_key_needs_no_csrf_token():
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    _, key = key_of(ada)
    client = ApiClient(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {key}"})
    assert post(client, "/casts/", {"spell": "story"}).status_code == 201


def create_api_key(*arguments):
    out = StringIO()
    call_command("create_api_key", *arguments, stdout=out)
    return out.getvalue().splitlines()


def test_the_command_prints_a_key_alone_on_its_last_line():
    UserFactory.create(username="ada")
    *_, key = create_api_key("ada")
    assert asking(f"Bearer {key}").status_code == 200
    assert AuthToken.objects.get().expiry is None


def test_the_command_makes_a_key_that_expires():
    UserFactory.create(username="ada")
    create_api_key("ada", "--days", "30")
    assert timedelta(days=29) < AuthToken.objects.get().expiry - timezone.now() < timedelta(days=31)


@pytest.mark.parametrize("days", ["0", "-1", "3651", "ten"])
def test_the_command_refuses_days_that_are_none(days):
    UserFactory.create(username="ada")
    with pytest.raises(CommandError, match="days"):
        create_api_key("ada", "--days", days)
    assert not AuthToken.objects.exists()


def test_the_command_tells_how_to_create_a_user():
    with pytest.raises(CommandError, match=r"There is no user 'eve'.*createsuperuser --username eve"):
        create_api_key("eve")


def test_the_command_refuses_a_user_who_is_inactive():
    UserFactory.create(username="ada", is_active=False)
    with pytest.raises(CommandError, match="inactive"):
        create_api_key("ada")
    assert not AuthToken.objects.exists()
