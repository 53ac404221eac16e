"""That one test leaves nothing behind for the next: each of these is run twice, and each time finds what it needs."""

from pathlib import Path

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from generations.artifacts import open_stored, path_of, store
from spells.models import SpellVersion
from tests.factories import SpellVersionFactory

twice = pytest.mark.parametrize("time", ["first", "second"])


@twice
@pytest.mark.django_db(transaction=True)
def test_a_published_version_is_flushed_and_the_next_is_kept_as_it_is_all_the_same(time: str):
    assert not SpellVersion.objects.exists()
    version = SpellVersionFactory.create(published_at=timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        SpellVersion.objects.filter(pk=version.pk).update(number=7)


@twice
def test_what_was_stored_is_gone(artifact_folder: Path, time: str):
    assert not artifact_folder.exists()
    stored = store(b"the same bytes", mime_type="text/plain")
    assert (artifact_folder / path_of(stored.sha256)).read_bytes() == b"the same bytes"
    with open_stored(stored.sha256) as file:
        assert file.read() == b"the same bytes"
