"""Spell documents as bodies of requests: JSON like any other body, or YAML."""

from collections.abc import Mapping
from typing import IO, Any, cast

from rest_framework.parsers import BaseParser
from rest_framework.settings import api_settings

from spells.documents import MAX_DOCUMENT_BYTES, load

YAML_TYPE = "application/yaml"


class YAMLParser(BaseParser):
    """Reads YAML as spell documents use it: plain data, bounded."""

    media_type = YAML_TYPE

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002 - the framework's signature
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002 - likewise
    ) -> Any:
        """Return the data. Raises DocumentError with line and column."""
        return load(stream.read(MAX_DOCUMENT_BYTES + 1), format="yaml")


DOCUMENT_PARSERS: list[type[BaseParser]] = [*cast("list[type[BaseParser]]", api_settings.DEFAULT_PARSER_CLASSES), YAMLParser]
