"""Where a provider hands out files, of all that its key opens: an output may name any address, and gets the key there alone."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import httpx2

# Segments that no server takes for "." or "..", and an end after which a name begins.
_NAME = "[A-Za-z0-9_~][A-Za-z0-9._~=@:-]*"


def file_paths_property(default: Sequence[str]) -> dict[str, Any]:
    """Return the property of a configuration that says below which paths files want the key."""
    return {
        "type": "array",
        "description": (
            "The paths below which the provider's own files want the key, like files/ (below `base_url`) or /files/ (at its host). "
            "An output may name any address: name none with more than files below it."
        ),
        "items": {"type": "string", "pattern": f"^/?({_NAME}/)*{_NAME}[/=]$", "maxLength": 300},
        "maxItems": 20,
        "default": list(default),
    }


def is_below(url: httpx2.URL, prefixes: Sequence[str]) -> bool:
    """Tell whether an address is below one of these, also for a server that decodes its path once more, or twice.

    Prefixes are URLs that end where a name begins, like https://api.test/files/ or https://app.test/view?.
    """
    return not _may_climb(url.raw_path.partition(b"?")[0].decode()) and any(_begins(url, httpx2.URL(prefix)) for prefix in prefixes)


def _begins(url: httpx2.URL, prefix: httpx2.URL) -> bool:
    is_same_place = (url.scheme, url.host, url.port) == (prefix.scheme, prefix.host, prefix.port)
    return is_same_place and url.raw_path.startswith(prefix.raw_path)


def _may_climb(path: str) -> bool:
    """Tell whether some server may see a segment in a path that leads upwards."""
    while (decoded := unquote(path)) != path:
        path = decoded
    segments = path.replace("\\", "/").split("/")
    return any(segment.partition(";")[0].strip() in (".", "..") for segment in segments)
