"""The fake provider in a demonstration: its process, and the tools that are pointed at it.

Such a demonstration has a folder and a database of its own, so that no tool of anybody's is ever pointed at a fake.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import httpx2

from casts.programs import Site, manage_py
from casts.supervisor import Program
from generations.fakeprovider.prices import PRICES
from generations.fakeprovider.settings import DEFAULT_KEY, Settings
from generations.redirecting import redirect_tools
from generations.tools.http_client import certificates
from spells.models import Tool

SPELL = "picture-book"
FOLDER = "demo-providers"  # in the data directory
LOG = "billed.jsonl"
# Which dialect takes the place of which address, and which table of its prices is that of an adapter's tools.
DIALECTS = {"https://api.openai.com": "openai", "https://api.replicate.com": "replicate"}
PRICED = {"openai.chat": "openai", "openai.image": "openai.images", "replicate": "replicate"}
LATENCY = "1..4"  # seconds
PROBE_SECONDS = 2.0


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a demonstration that has this folder to itself."""
    return {
        "GRIMOIRE_DATA_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{quote(str(folder / 'grimoire.sqlite3'))}",
        "GRIMOIRE_DATABASE_POOL": "false",
        "OPENAI_API_KEY": DEFAULT_KEY,
        "REPLICATE_API_TOKEN": DEFAULT_KEY,
        "REPLICATE_WEBHOOK_SECRET": Settings().webhook_secret,
    }


def program(*, site: Site, folder: Path, environment: Mapping[str, str]) -> Program:
    """Return the fake provider, which serves at `site`. Its jobs and its log outlive it."""
    command = [*manage_py(), "fakeprovider", "--fd", str(site.listener.fileno()), "--latency", LATENCY, "--pictures", "painted"]
    command += ["--log", str(folder / LOG), "--jobs", str(folder / "jobs.jsonl")]
    return Program(
        name="provider",
        command=command,
        probe=lambda: ProviderProbe(site),
        silence_seconds=60,
        environment=environment,
        pass_fds=[site.listener.fileno()],
    )


class ProviderProbe:
    """Asks the provider for its numbers."""

    def __init__(self, site: Site) -> None:
        """Take the address."""
        self._url = site.url

    def ask(self, pid: int) -> bool | None:  # noqa: ARG002 - the address is enough
        try:
            return httpx2.get(f"{self._url}/__fake/stats", timeout=PROBE_SECONDS, trust_env=False, verify=certificates()).is_success
        except httpx2.HTTPError:
            return False


def point_tools(*, url: str) -> None:
    """Point the tools of providers at the fake one, wherever it or its predecessor was, and give them its prices."""
    for real, dialect in DIALECTS.items():
        before = {str(base_url) for base_url in Tool.objects.values_list("config__base_url", flat=True) if base_url}
        earlier = {base_url[: base_url.index(f"/{dialect}")] for base_url in before if _is_fake(base_url, dialect)}
        for old in (real, *(f"{host}/{dialect}" for host in sorted(earlier))):
            redirect_tools(old=old, new=f"{url}/{dialect}")
    for adapter, table in PRICED.items():
        for tool in Tool.objects.filter(adapter=adapter).exclude(pricing=dict(PRICES[table])):
            tool.pricing = dict(PRICES[table])
            tool.save(update_fields=["pricing", "updated_at"])


def _is_fake(base_url: str, dialect: str) -> bool:
    return base_url.startswith("http://127.0.0.1:") and f"/{dialect}" in base_url
