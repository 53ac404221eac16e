"""Storage for async adapters: reading and writing artefacts blocks, so it happens on a thread."""

import asyncio
from collections.abc import Mapping
from typing import Any

from .contract import Request


async def read_async(request: Request, reference: Mapping[str, Any]) -> bytes:
    """Return the bytes of an artefact that stands by reference in the inputs."""
    return await asyncio.to_thread(request.read, reference)


async def keep_async(request: Request, data: bytes, *, mime_type: str, name: str = "", source_url: str = "") -> dict[str, Any]:
    """Store bytes and return the reference that stands for them."""
    return await asyncio.to_thread(request.keep, data, mime_type=mime_type, name=name, source_url=source_url)
