"""The documents of an export: one for each piece, in the form that marketplaces read, and a manifest of all."""

import hashlib
import json
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from casts.models import Export, ExportItem

from .traits import TraitTree

# The usual ones: the system's own list differs from machine to machine.
_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "audio/mpeg": ".mp3",
    "text/plain": ".txt",
    "application/json": ".json",
}


def number_text(number: int, *, total: int) -> str:
    """Return a number as files are called: with zeros before it, at least four digits."""
    return f"{number:0{max(4, len(str(total)))}d}"


def file_name(item: ExportItem, *, total: int) -> str:
    suffix = _SUFFIXES.get(item.mime_type) or mimetypes.guess_extension(item.mime_type, strict=True) or ".bin"
    return f"{number_text(item.number, total=total)}{suffix}"


def piece_document(export: Export, item: ExportItem, *, names: Sequence[str]) -> bytes:
    """Return what is said of one piece. `names` are the categories in their order. The same for ever, byte for byte."""
    traits: Mapping[str, str] = item.attempt.traits
    order = [*(name for name in names if name in traits), *sorted(traits.keys() - set(names))]
    image = file_name(item, total=export.total)
    return _written(
        {
            "name": item.name,
            "description": export.description,
            "image": f"{export.base_uri}{image}" if export.base_uri else f"images/{image}",
            "edition": item.number,
            "attributes": [{"trait_type": name, "value": traits[name]} for name in order],
        }
    )


def manifest(export: Export, *, seed: int, files: Iterable[tuple[str, str, int]]) -> bytes:
    """Return what is said of all. `files` are paths, SHA-256 and sizes in bytes."""
    return _written(
        {
            "collection": export.cook.collection.name,
            "pieces": export.total,
            "seed": seed,
            "shuffle_seed": export.shuffle_seed,
            "provenance_hash": export.provenance_hash,
            "files": [{"path": path, "sha256": sha256, "size": size} for path, sha256, size in files],
        }
    )


def provenance_hash(hashes: Iterable[str]) -> str:
    """Return the SHA-256 of the files' SHA-256, in hexadecimal digits, one after the other in their order."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def category_names(tree: TraitTree | None) -> list[str]:
    return [category.name for category in tree.categories] if tree is not None else []


def _written(data: Mapping[str, Any]) -> bytes:
    return (json.dumps(data, ensure_ascii=False, indent=1) + "\n").encode()
