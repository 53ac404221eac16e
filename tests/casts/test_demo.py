from pathlib import Path

import httpx2
import pytest
from django.contrib.auth.models import User
from knox.models import AuthToken

from casts import demo, demo_provider, programs
from casts.casting import Order, place
from casts.clock import database_now
from casts.demo import Client, DemoError
from casts.programs import AddressError, Site
from generations.catalogue import sync_tools
from generations.fakeprovider.prices import PRICES
from spells.documents import document_of, from_data, save_draft
from spells.models import Spell, SpellVersion, Tool
from spells.naming import version_named

from .test_conductor import conducting, ended, wait_for


def prepare() -> demo.Prepared:
    return demo.prepare(now=database_now())


@pytest.mark.django_db
def test_preparing_makes_a_superuser_the_tools_and_the_published_examples():
    prepared = prepare()
    assert prepared.password
    assert prepared.admin.check_password(prepared.password)
    assert prepared.admin.is_superuser
    assert Tool.objects.filter(slug="image.paint", enabled=True).exists()
    examples = {path.stem for path in (Path(__file__).parents[2] / "spells" / "examples").glob("*.yaml")}
    assert set(Spell.objects.written().values_list("slug", flat=True)) == examples
    assert prepared.spell == "illustrated-story@1"
    assert not SpellVersion.objects.drafts().exists()


@pytest.mark.django_db
def test_preparing_again_changes_nothing_and_tells_no_password():
    first = prepare()
    again = prepare()
    assert again.password is None
    assert (again.admin, again.spell) == (first.admin, first.spell)
    assert User.objects.get().check_password(first.password)
    assert set(SpellVersion.objects.values_list("number", flat=True)) == {1}


@pytest.mark.django_db
def test_preparing_leaves_a_users_own_version_of_an_example_alone():
    admin = prepare().admin
    mine = document_of(version_named("illustrated-story"))
    draft = save_draft(document=mine, owner=admin, now=database_now())
    assert prepare().spell == "illustrated-story@1"
    assert SpellVersion.objects.drafts().get() == draft


@pytest.mark.django_db
def test_preparing_refuses_to_replace_a_users_draft():
    admin = User.objects.create_superuser("admin")
    sync_tools()
    other = from_data({"slug": "illustrated-story", "steps": [{"key": "only", "tool": "text.join", "params": {"items": []}}]})
    save_draft(document=other, owner=admin, now=database_now())
    with pytest.raises(DemoError, match="illustrated-story has a draft of yours"):
        prepare()


@pytest.mark.django_db
def test_preparing_refuses_a_user_of_that_name_who_is_no_superuser():
    User.objects.create_user("admin")
    with pytest.raises(DemoError, match="no active superuser"):
        prepare()
    assert not Tool.objects.exists(), "something was written all the same"


@pytest.mark.django_db(transaction=True)
def test_without_keys_the_examples_with_providers_fail_and_say_which_is_missing(monkeypatch: pytest.MonkeyPatch):
    keys = ("REPLICATE_API_TOKEN", "OPENAI_API_KEY")
    for name in keys:
        monkeypatch.delenv(name, raising=False)
    admin = prepare().admin
    spells = ("picture-book", "product-photo", "prompt-comparison", "translated-summary")
    casts = [place(order=Order(spell=spell, inputs={}), user=admin).cast for spell in spells]
    with conducting():
        wait_for(lambda: all(ended(cast) for cast in casts), what="the casts end")
    for cast in casts:
        assert cast.error is not None
        assert (cast.status, cast.error["code"]) == ("failed", "secret_missing")
        assert any(name in cast.error["message"] for name in keys)


@pytest.mark.django_db
def test_a_key_ends_with_its_block():
    user = User.objects.create_user("ada")
    with demo.key_of(user) as key:
        assert len(key) >= 32
        assert AuthToken.objects.get().expiry is not None
    assert not AuthToken.objects.exists()


def test_artefacts_are_found_in_outputs_by_place():
    one, two = {"artifact": "1", "mime_type": "image/png"}, {"artifact": "2", "mime_type": "image/jpeg"}
    outputs = {"sheet": one, "pages": [{"picture": two, "n": 1}, "text", None], "title": "x", "artifact": 3}
    assert list(demo.references(outputs)) == [("sheet", one), ("pages-1-picture", two)]


def client(answer: httpx2.Response) -> Client:
    made = Client(url="http://127.0.0.1:1", key="k")
    made._http = httpx2.Client(base_url="http://127.0.0.1:1", transport=httpx2.MockTransport(lambda _: answer))
    return made


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            httpx2.Response(
                422, json={"title": "No", "detail": "Bad inputs.", "errors": [{"path": "inputs.n", "message": "is too large"}]}
            ),
            "422: Bad inputs.; inputs.n: is too large",
        ),
        (httpx2.Response(502, text="<html>Bad gateway</html>"), "502: <html>Bad gateway</html>"),
        (httpx2.Response(500, json=["unexpected"]), '500: ["unexpected"]'),
    ],
)
def test_the_client_fails_in_the_words_of_the_api(answer: httpx2.Response, told: str):
    with client(answer) as api, pytest.raises(DemoError) as failed:
        api.cast(spell="x", inputs={})
    assert told in str(failed.value)


def test_the_client_says_when_nobody_answers():
    with Client(url="http://127.0.0.1:1", key="k") as api, pytest.raises(DemoError, match="did not answer POST /api/v1/casts/"):
        api.cast(spell="x", inputs={})


# Addresses


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.5", False),
        ("example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, is_loopback: bool):
    assert programs.is_loopback(host) is is_loopback


def test_a_site_of_this_machine_is_its_own_address(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("GRIMOIRE_PUBLIC_URL", raising=False)
    with programs.listen(host="127.0.0.1", port=0).listener as listener:
        site = Site(listener=listener, host="::1", port=8000)
        assert programs.public_url(site) == "http://[::1]:8000"


def test_a_site_of_others_needs_a_public_address(monkeypatch: pytest.MonkeyPatch, settings):
    with programs.listen(host="127.0.0.1", port=0).listener as listener:
        site = Site(listener=listener, host="0.0.0.0", port=8000)
        monkeypatch.delenv("GRIMOIRE_PUBLIC_URL", raising=False)
        with pytest.raises(AddressError, match="GRIMOIRE_PUBLIC_URL=https"):
            programs.public_url(site)
        monkeypatch.setenv("GRIMOIRE_PUBLIC_URL", "https://grimoire.example.org")
        settings.PUBLIC_URL = "https://grimoire.example.org"
        assert programs.public_url(site) == "https://grimoire.example.org"


@pytest.mark.parametrize(("host", "port"), [("203.0.113.1", 8000), ("nowhere.invalid", 8000)])
def test_an_address_that_is_not_ours_is_refused_in_words(host: str, port: int):
    with pytest.raises(AddressError, match=f"Port {port} of {host} cannot be used: "):
        programs.listen(host=host, port=port)


def test_the_web_process_believes_a_proxy_only_where_there_is_one(settings):
    with programs.listen(host="127.0.0.1", port=0).listener as listener:
        site = Site(listener=listener, host="127.0.0.1", port=1)
        settings.SECURE_PROXY_SSL_HEADER = None
        assert "--no-proxy-headers" in programs.web(site=site, environment={}).command
        settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
        assert "--proxy-headers" in programs.web(site=site, environment={}).command


def test_forks_and_conductors_get_no_pool_and_a_single_worker_more_patience():
    cluster, lone = (programs.cluster(workers=workers, conductors=0, environment={"A": "b"}) for workers in (2, 1))
    assert cluster.environment["GRIMOIRE_DATABASE_POOL"] == "false"
    assert cluster.environment["A"] == "b"
    assert lone.silence_seconds > 600 > cluster.silence_seconds
    assert programs.conductor(number=1, environment={}).environment["GRIMOIRE_DATABASE_POOL"] == "false"


def test_tools_follow_the_fake_provider_wherever_it_is(db):
    sync_tools()
    for url in ("http://127.0.0.1:8090", "http://127.0.0.1:8091", "http://127.0.0.1:8091"):
        demo_provider.point_tools(url=url)
        chat, art = Tool.objects.get(slug="openai.chat"), Tool.objects.get(slug="replicate.flux-schnell")
        assert chat.config["base_url"].startswith(f"{url}/openai/")
        assert art.config["base_url"].startswith(f"{url}/replicate/")
        assert (chat.pricing, art.pricing) == (PRICES["openai"], PRICES["replicate"])
