from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pytest
from uuid_utils.compat import uuid7

from generations.callback_addresses import callback_url, read_signed_id, signed_id


@pytest.fixture
def known(settings):
    settings.CALLBACK_ORIGIN = "https://grimoire.example.org"


def test_an_address_names_its_adapter_and_its_generation(known):
    generation_id = uuid7()
    parts = urlsplit(callback_url(adapter="house.shout", generation_id=generation_id))
    start, adapter, signed, end = parts.path.rsplit("/", 3)
    assert (parts.scheme, parts.netloc, start, adapter, end) == ("https", "grimoire.example.org", "/api/v1/callbacks", "house.shout", "")
    assert read_signed_id(signed, adapter=adapter) == generation_id
    assert unquote(signed) == signed


def test_an_adapter_of_another_package_may_have_any_name(known):
    assert "/callbacks/a%2Fb%20c/" in callback_url(adapter="a/b c", generation_id=uuid7())


def test_there_is_no_address_while_nobody_said_how_we_are_reached(settings):
    settings.CALLBACK_ORIGIN = ""
    assert callback_url(adapter="house.shout", generation_id=uuid7()) == ""


@pytest.mark.parametrize(
    "forge",
    [
        lambda signed: signed[:-1] + ("A" if signed[-1] != "A" else "B"),
        lambda signed: uuid4().hex + signed[32:],
        lambda signed: signed.replace(".", ""),
        lambda signed: signed.partition(".")[0],
        lambda signed: signed + "." * 100,
        lambda signed: "\ud800" + signed,
        lambda signed: signed[:0],
    ],
)
def test_a_forged_id_is_not_read(forge):
    signed = signed_id(adapter="house.shout", generation_id=uuid7())
    assert read_signed_id(forge(signed), adapter="house.shout") is None


def test_the_address_of_one_adapter_does_not_work_for_another():
    signed = signed_id(adapter="signs.its.words", generation_id=uuid7())
    assert read_signed_id(signed, adapter="signs.nothing") is None
