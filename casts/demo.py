"""What a demonstration needs: somebody to sign in as, the tools, the example spells; and a client of our own API."""

import mimetypes
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import httpx2
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import transaction
from knox.models import AuthToken

from casts.schedules import sync_schedules
from generations.artifacts import REFERENCE_KEY
from generations.catalogue import sync_tools
from generations.tools.http_client import certificates
from spells.documents import Document, document_of, parse, save_draft
from spells.models import Spell, SpellVersion
from spells.publishing import publish

ADMIN = "admin"
SPELL = "illustrated-story"
PASSWORD_BYTES = 12
KEY_LIFETIME = timedelta(hours=1)
REQUEST_SECONDS = 15.0


class DemoError(Exception):
    """The demonstration cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Who casts, and what. `password` is there only when the user was made now: it is shown once and not kept."""

    admin: User
    password: str | None
    spell: str


@transaction.atomic
def prepare(*, now: datetime, spell: str = SPELL) -> Prepared:
    """Make sure of the user, the tools, the schedules and the example spells. A second call changes nothing.

    Raises:
        DemoError: something else stands in the place of one of them.
    """
    admin, password = _admin()
    sync_tools()
    sync_schedules()
    published = {}
    for path in sorted((settings.BASE_DIR / "spells" / "examples").glob("*.yaml")):
        version = _published(parse(path.read_bytes(), format="yaml"), owner=admin, now=now)
        published[version.spell.slug] = f"{version.spell.slug}@{version.number}"
    return Prepared(admin=admin, password=password, spell=published[spell])


def _admin() -> tuple[User, str | None]:
    users = get_user_model().objects
    admin = users.filter(username=ADMIN).first()
    if admin is None:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        return users.create_superuser(ADMIN, password=password), password
    if not (admin.is_active and admin.is_superuser):
        raise DemoError(f"There is a user {ADMIN!r} who is no active superuser. The demo signs in as such a one.")
    return admin, None


def _published(document: Document, *, owner: User, now: datetime) -> SpellVersion:
    """Return the version that says what the document says, published now unless one was before."""
    spell = Spell.objects.filter(slug=document.slug).first()
    if spell is not None:
        for version in spell.versions.published().select_related("spell").order_by("-number"):
            if document_of(version) == document:
                return version
        if spell.draft() is not None:
            raise DemoError(f"The spell {spell.slug} has a draft of yours, which the example would replace. Publish it first.")
    draft = save_draft(document=document, owner=owner, now=now)
    return publish(version_id=draft.pk, now=now)


@contextmanager
def key_of(user: User) -> Iterator[str]:
    """Yield an API key that ends with the block, or within the hour."""
    row, key = AuthToken.objects.create(user=user, expiry=KEY_LIFETIME)
    try:
        yield key
    finally:
        row.delete()


class Client:
    """A client of the REST API. A context manager. Raises DemoError with the words of the API's own problem documents."""

    def __init__(self, *, url: str, key: str) -> None:
        """Take the address of the site and an API key."""
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx2.Client(
            base_url=f"{url}/api/v1/", headers=headers, timeout=REQUEST_SECONDS, trust_env=False, verify=certificates()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def cast(self, *, spell: str, inputs: Mapping[str, Any]) -> UUID:
        """Start a cast and return its id."""
        body = {"spell": spell, "inputs": dict(inputs)}
        return UUID(self._json("POST", "casts/", json=body, headers={"Idempotency-Key": str(uuid4())})["id"])

    def outputs(self, cast_id: UUID) -> dict[str, Any]:
        """Return what a cast made, {} while there is nothing."""
        outputs: dict[str, Any] | None = self._json("GET", f"casts/{cast_id}/")["outputs"]
        return outputs or {}

    def artifact(self, artifact_id: str) -> bytes:
        return self._answer("GET", f"artifacts/{artifact_id}/").content

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._answer(method, path, **options).json()
        return answer

    def _answer(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **options)
        except httpx2.HTTPError as error:
            raise DemoError(f"The API did not answer {method} /api/v1/{path}: {error}") from error
        if response.is_success:
            return response
        raise DemoError(f"The API answered {method} /api/v1/{path} with {response.status_code}: {_problem(response)}")


def _problem(response: httpx2.Response) -> str:
    try:
        problem = response.json()
        told = [problem.get("detail") or problem["title"], *(f"{each['path']}: {each['message']}" for each in problem.get("errors") or [])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.text[:500]
    return "; ".join(told)


def save_files(*, outputs: Mapping[str, Any], client: Client, folder: Path) -> dict[str, Path]:
    """Write the artefacts among the outputs into a folder, and return their paths by place: `sheet`, `pictures-1` ..."""
    saved = {}
    folder.mkdir(parents=True, exist_ok=True)
    for place, reference in references(outputs):
        name = re.sub(r"[^A-Za-z0-9_-]+", "-", place) + (mimetypes.guess_extension(reference.get("mime_type", "")) or ".bin")
        saved[place] = folder / name
        saved[place].write_bytes(client.artifact(reference[REFERENCE_KEY]))
    return saved


def references(value: Any, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each artefact that stands by reference in a value, with its place; places in lists count from 1."""
    if isinstance(value, dict):
        if isinstance(value.get(REFERENCE_KEY), str):
            yield place, value
            return
        inner = ((str(name), each) for name, each in value.items())
    elif isinstance(value, list):
        inner = ((str(number), each) for number, each in enumerate(value, start=1))
    else:
        return
    for name, each in inner:
        yield from references(each, f"{place}-{name}" if place else name)
