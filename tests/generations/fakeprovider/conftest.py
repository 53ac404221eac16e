from collections.abc import Iterator

import pytest

from tests.fakes import Mailbox, Serving, fake_provider, mailbox


@pytest.fixture
def fake() -> Iterator[Serving]:
    with fake_provider() as serving:
        yield serving


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box
