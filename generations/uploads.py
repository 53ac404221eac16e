"""Files that users bring: kept as artefacts, to be named in the inputs of casts."""

from datetime import datetime

from generations.artifacts import StoredArtifact, record, store
from generations.models import Artifact
from generations.outputs import clean_text
from generations.tools.file_fetch import mime_type_of


def upload(*, data: bytes, name: str, claimed_type: str, owner_id: int, now: datetime) -> StoredArtifact:
    """Keep bytes as an artefact of `owner_id` and return what stands for it.

    Its MIME type is told by its first bytes; `claimed_type` counts only for types that these do not tell.
    """
    stored = store(data, mime_type=mime_type_of(data, claimed=claimed_type), name=clean_text(name)[:255])
    Artifact.objects.bulk_create(record([stored], owner_id=owner_id, generation_id=None, now=now))
    return stored
