"""The example spells that need providers, against the fake one: real processes, real HTTP."""

import io
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest
from PIL import Image

from generations.fakeprovider.settings import DEFAULT_KEY, Settings
from tests.functional.site import Running, Site, client

EXAMPLES = ("picture-book", "product-photo", "prompt-comparison", "translated-summary")


@contextmanager
def stopped(running: Running) -> Iterator[Running]:
    """End a process with the block."""
    yield running
    running.tell(signal.SIGTERM)
    assert running.end() == 0, running.said()


@pytest.fixture
def provided(site: Site) -> Iterator[tuple[Site, str]]:
    """A Grimoire whose tools are pointed at a fake provider, with its prices, and serves; and that provider's address."""
    secret = Settings().webhook_secret
    site.environment |= {"REPLICATE_API_TOKEN": DEFAULT_KEY, "OPENAI_API_KEY": DEFAULT_KEY, "REPLICATE_WEBHOOK_SECRET": secret}
    with stopped(
        site.start("fakeprovider", "--port", "0", "--latency", "0.2..1", "--lose-webhooks", "0.3", "--double-webhooks", "0.3")
    ) as fake:
        url = fake.says(r"serves at (http://127\.0\.0\.1:\d+)")[1]
        site.run("shell", "--no-imports", "-c", f"from casts.demo_provider import point_tools; point_tools(url={url!r})")
        with stopped(site.serve()):
            yield site, url


def picture(site: Site, reference: dict[str, Any]) -> Image.Image:
    headers = {"Authorization": f"Bearer {site.key}"}
    path = f"{site.url}/api/v1/artifacts/{reference['artifact']}/"
    return Image.open(io.BytesIO(client().get(path, headers=headers).content))


@pytest.mark.postgresql
def test_the_examples_succeed_and_cost_what_the_provider_billed(provided: tuple[Site, str]):
    site, url = provided
    casts = {spell: site.cast(spell) for spell in EXAMPLES}
    ended = {spell: site.wait_for_end(cast) for spell, cast in casts.items()}
    assert {spell: (cast["status"], cast["error"]) for spell, cast in ended.items()} == dict.fromkeys(EXAMPLES, ("succeeded", None))

    book = ended["picture-book"]["outputs"]
    assert len(book["pictures"]) == 3
    assert picture(site, book["pictures"][0]).size == (512, 341)
    assert picture(site, book["sheet"]).format == "PNG"
    assert book["title"]
    assert book["story"]

    photo = ended["product-photo"]["outputs"]
    assert picture(site, photo["original"]).size == (1024, 1024)
    assert picture(site, photo["large"]).size == (2048, 2048)
    assert [picture(site, each).size for each in photo["web"]] == [(1200, 1200), (400, 400)]

    summary = ended["translated-summary"]["outputs"]
    assert [text.partition("]")[0] for text in summary["translations"]] == ["[german", "[french", "[spanish"]
    assert all(summary["summary"] in text for text in summary["translations"])

    comparison = ended["prompt-comparison"]["outputs"]
    assert comparison["best"] in comparison["answers"]
    assert all(comparison["answers"].values())

    ledger = client().get(f"{url}/__fake/ledger").json()
    booked = sum(Decimal(cast["cost_usd"]) for cast in ended.values())
    assert abs(booked - Decimal(ledger["usd"])) < Decimal("0.00001"), json.dumps(ledger["entries"], indent=1)
    generations = [generation for cast in casts.values() for generation in site.generations(cast)]
    assert len(ledger["entries"]) == sum(Decimal(generation["cost_usd"] or 0) > 0 for generation in generations)
