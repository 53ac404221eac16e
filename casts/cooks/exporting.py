"""Exports: which pieces, in which order and under which names, and the archive of it all.

The archive is made of rows and files when it is fetched, and is stored nowhere. `preparing` reads the files before that.
"""

import hashlib
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from casts.doorbell import knock
from casts.engine import sql
from casts.models import AttemptStatus, Cook, Decision, Export, ExportItem, ExportStatus, PieceAttempt
from casts.models.export import MAX_TEMPLATE_CHARACTERS
from casts.repeats import digest_of, made_before
from generations.artifacts import REFERENCE_KEY, StoredArtifact, open_stored, readable_by
from spells.expressions import Budget, ExpressionError, Template, compile_template
from spells.problems import MAX_PROBLEMS, Problem, ProblemsError, join_path

from . import metadata
from .archive import Archive, Entry
from .numbers import shuffled
from .pictures import picture_of
from .traits import TraitTree, read_tree

DEFAULT_TEMPLATE = "{{ collection }} #{{ number }}"
NAMES = frozenset({"collection", "number", "index", "traits"})
MAX_NAME_CHARACTERS = 500
# A hundred times what a name needs; and ten thousand of them are made in one request.
WORK_OF_A_NAME = 1_000
MAX_METADATA_BYTES = 64 * 1024 * 1024
# Rows, with the traits of their pieces, that are read at a time.
ROWS_AT_ONCE = 200


class ExportRefusedError(Exception):
    """The export is not in a state in which this can be done. The message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an export is to be. `accepted` are the pieces that were accepted, else all that are made."""

    accepted: bool = True
    name_template: str = DEFAULT_TEMPLATE
    description: str = ""
    base_uri: str = ""
    shuffle_seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """An export, and whether it is new: a repeated request gets the first one's."""

    export: Export
    created: bool


def begin(*, cook: Cook, wish: Wish, requested_by_id: int, now: datetime, idempotency_key: str | None = None) -> Begun:
    """Begin an export of the pieces of a cook as they are, or return the one that the same request began before.

    What becomes of the pieces later changes nothing of it.

    Raises:
        ProblemsError: there are none, one has no file, or a name cannot be made.
        IdempotencyKeyReusedError: the key belongs to another request.
    """
    mine = Export.objects.filter(requested_by=requested_by_id)
    digest = digest_of(cook=cook.pk, **asdict(wish))
    earlier = made_before(mine, key=idempotency_key, digest=digest)
    if earlier is not None:
        return Begun(export=earlier, created=False)
    attempts = list(_attempts(cook, wish))
    if not attempts:
        what = "accepted" if wish.accepted else "made"
        raise ProblemsError([Problem("cook", f"no piece of it is {what}: there is nothing to export")])
    items = _items(attempts, wish=wish, cook=cook)
    export = Export(
        cook=cook,
        requested_by_id=requested_by_id,
        name_template=wish.name_template,
        description=wish.description,
        base_uri=wish.base_uri,
        shuffle_seed=wish.shuffle_seed,
        total=len(items),
        idempotency_key=idempotency_key,
        request_digest=digest,
        created_at=now,
        due_at=now,
    )
    _check_size(export, items)
    try:
        with transaction.atomic():
            export.save(force_insert=True)
            for item in items:
                item.export = export
            sql.insert(items)
            knock()
    except IntegrityError:
        earlier = made_before(mine, key=idempotency_key, digest=digest)
        if earlier is None:
            raise
        return Begun(export=earlier, created=False)
    return Begun(export=export, created=True)


def _check_size(export: Export, items: Sequence[ExportItem]) -> None:
    """Raise ProblemsError when what is said of all pieces is more than may be held at once. None of it is kept, or written further."""
    names, size = metadata.category_names(_tree(export.cook)), 0
    for item in items:
        size += len(metadata.piece_document(export, item, names=names))
        if size > MAX_METADATA_BYTES:
            told = f"what is said of its pieces is larger than {MAX_METADATA_BYTES:,} bytes: shorten what is said of each, or export fewer"
            raise ProblemsError([Problem("description" if export.description else "cook", told)])


def _attempts(cook: Cook, wish: Wish) -> QuerySet[PieceAttempt]:
    made = PieceAttempt.objects.filter(cook=cook, status=AttemptStatus.MADE)
    kept = made.filter(review__decision=Decision.ACCEPTED) if wish.accepted else made
    rows = kept.select_related("piece", "cast").order_by("piece__index")
    return rows.only("cook", "traits", "piece__index", "cast__outputs")


def _items(attempts: Sequence[PieceAttempt], *, wish: Wish, cook: Cook) -> list[ExportItem]:
    template = _template(wish.name_template)
    ids = {attempt.pk: _file_id(attempt) for attempt in attempts}
    stored = readable_by(cook.initiator_id, {id_ for id_ in ids.values() if id_ is not None})
    problems: list[Problem] = []
    items = []
    for position, attempt in enumerate(attempts):
        file_id = ids[attempt.pk]
        if file_id is None or file_id not in stored:
            problems.append(Problem(join_path("pieces", attempt.piece.index), "has no file in its outputs"))
        else:
            number = _number(position, len(attempts), wish)
            try:
                items.append(_item(attempt, stored[file_id], number=number, template=template, cook=cook))
            except ExpressionError as error:
                problems.append(Problem("name_template", f"gives no name to piece {attempt.piece.index}: {error.message}"))
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise ProblemsError(problems)
    return sorted(items, key=lambda item: item.number)


def _file_id(attempt: PieceAttempt) -> UUID | None:
    reference = picture_of(attempt.cast.outputs)
    try:
        return UUID(reference[REFERENCE_KEY]) if reference is not None else None
    except ValueError:
        return None


def _template(source: str) -> Template:
    if len(source) > MAX_TEMPLATE_CHARACTERS:
        raise ProblemsError([Problem("name_template", f"is longer than the {MAX_TEMPLATE_CHARACTERS} characters that are allowed")])
    try:
        return compile_template(source, path="name_template", names=NAMES)
    except ExpressionError as error:
        raise ProblemsError([Problem("name_template", error.message)]) from error


def _number(position: int, count: int, wish: Wish) -> int:
    """Return the number of a piece, from 1: its place among the others, or the one to which that is shuffled."""
    if wish.shuffle_seed is None:
        return position + 1
    return shuffled(position, size=count, key=f"grimoire order 1\n{wish.shuffle_seed}\n{count}") + 1


def _item(attempt: PieceAttempt, file: StoredArtifact, *, number: int, template: Template, cook: Cook) -> ExportItem:
    names = {"collection": cook.collection.name, "number": number, "index": attempt.piece.index, "traits": attempt.traits}
    name = template.evaluate(names, budget=Budget(WORK_OF_A_NAME))
    if not isinstance(name, str):
        name = str(name)
    if not name.strip() or len(name) > MAX_NAME_CHARACTERS:
        raise ExpressionError(f"a name has from 1 to {MAX_NAME_CHARACTERS} characters", path="name_template")
    return ExportItem(number=number, attempt=attempt, name=name.strip(), sha256=file.sha256, mime_type=file.mime_type, size=file.size)


# What is fetched


def archive_of(export: Export) -> Archive:
    """Return the archive of an export that is ready: the same bytes each time. Raises ExportRefusedError when it is not."""
    if export.status != ExportStatus.READY:
        raise ExportRefusedError(f"The export is {export.status}: there is nothing to fetch.")
    entries: list[Entry] = []
    files: list[tuple[str, str, int]] = []
    for item, document in _documents(export):
        number = metadata.number_text(item.number, total=export.total)
        assert item.crc32 is not None  # it is ready
        image = f"images/{metadata.file_name(item, total=export.total)}"
        entries.append(Entry(name=image, size=item.size, crc32=item.crc32, open=partial(open_stored, item.sha256)))
        entries.append(_entry(f"metadata/{number}.json", document))
        files += [(image, item.sha256, item.size), (entries[-1].name, hashlib.sha256(document).hexdigest(), len(document))]
    listed = metadata.manifest(export, seed=export.cook.collection.seed, files=files)
    return Archive([*entries, _entry("manifest.json", listed)], at=export.created_at)


def _documents(export: Export) -> Iterator[tuple[ExportItem, bytes]]:
    """Yield what is said of each piece. All of it may be far more than fits."""
    names = metadata.category_names(_tree(export.cook))
    for item in export.items.select_related("attempt").order_by("number").iterator(chunk_size=ROWS_AT_ONCE):
        yield item, metadata.piece_document(export, item, names=names)


def _tree(cook: Cook) -> TraitTree | None:
    document = cook.collection.trait_tree
    return None if document is None else read_tree(document)


def _entry(name: str, data: bytes) -> Entry:
    return Entry(name=name, size=len(data), crc32=zlib.crc32(data), open=partial(io.BytesIO, data))


def publish(*, export_id: int, now: datetime) -> Export:
    """Lock the order of a cook's pieces to that of this export, for good. Asking again changes nothing.

    Raises ExportRefusedError when it is not ready, or another export of the cook was published.
    """
    try:
        with transaction.atomic():
            won = Export.objects.filter(pk=export_id, status=ExportStatus.READY, published_at=None).update(published_at=now)
    except IntegrityError as error:
        raise ExportRefusedError("Another export of this cook is published: its order holds for good.") from error
    export = Export.objects.get(pk=export_id)
    if not won and export.published_at is None:
        raise ExportRefusedError(f"The export is {export.status}: only what is ready can be published.")
    return export
