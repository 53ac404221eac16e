"""People who come to the admin, and what its pages must hold to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from zeal import zeal_context
from zeal.constants import initialize_app_registry
from zeal.patch import patch

from tests.factories import UserFactory

initialize_app_registry()
patch()


class AdminClient(Client):
    """A browser that comes over TLS, as all do in production."""

    user: User

    def generic(self, *args: Any, **kwargs: Any) -> Any:
        return super().generic(*args, **{**kwargs, "secure": True})


def operator(*permissions: str, superuser: bool = False, **options: Any) -> AdminClient:
    """Return the browser of somebody of the staff who has these permissions, like `casts.view_cast`."""
    user: User = UserFactory.create(is_staff=True, is_superuser=superuser)
    for permission in permissions:
        app, name = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=name))
    return browser_of(user, **options)


def browser_of(user: User, **options: Any) -> AdminClient:
    client = AdminClient(**options)
    client.force_login(user)
    client.user = user
    return client


def superuser() -> AdminClient:
    return operator(superuser=True)


def page(client: Client, name: str, *args: Any, **query: Any) -> str:
    """Return a page of the admin by the name of its address, after a look that it came and asked nothing per row."""
    with zeal_context():
        answer = client.get(reverse(f"admin:{name}", args=args), query)
    assert answer.status_code == 200, answer
    text: str = answer.content.decode()
    return text


@contextmanager
def counted() -> Iterator[CaptureQueriesContext]:
    """Count the queries inside."""
    with CaptureQueriesContext(connection) as queries:
        yield queries


def queries_of(client: Client, name: str, *args: Any, **query: Any) -> int:
    """Return how many queries a page takes, once all that is cached is warm."""
    page(client, name, *args, **query)
    with counted() as queries:
        page(client, name, *args, **query)
    return len(queries)


def messages_of(answer: Any) -> list[str]:
    """Return what the page after a redirect tells."""
    return [str(message) for message in answer.context["messages"]]
