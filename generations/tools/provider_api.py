"""HTTP calls to one provider, as its tool's row configures them: address, key, time, size.

The key goes to the provider's own origin and nowhere else, also when an answer names other addresses.
"""

import json as json_text
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2

from generations.outputs import clean_text

from .configuration import read_secret
from .contract import Request, ToolError
from .definition import integer_schema, object_schema
from .http_client import MAX_REDIRECTS, Answer, Outgoing, Sink, exchange
from .json_parse import BadJson, parse_json

MAX_ANSWER_BYTES = 20 * 2**20
URL_PATTERN = "^https?://[^\\s]+$"
ENV_PATTERN = "^([A-Z][A-Z0-9_]*)?$"


def address_properties(*, base_url: str, api_key_env: str) -> dict[str, Any]:
    """Return the properties of a configuration that say where a provider is, and with which key."""
    return {
        "base_url": {"type": "string", "description": "Where the API is.", "pattern": URL_PATTERN, "maxLength": 500, "default": base_url},
        "api_key_env": {
            "type": "string",
            "description": "The environment variable with the API key. Empty for a server that wants none.",
            "pattern": ENV_PATTERN,
            "default": api_key_env,
        },
    }


def provider_schema(properties: Mapping[str, Any], *, base_url: str, api_key_env: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the schema of a configuration: what all providers have, and `properties` beside it."""
    shared = {
        **address_properties(base_url=base_url, api_key_env=api_key_env),
        "poll_seconds": {
            "type": "number",
            "description": "How soon to ask for a job; each further question waits longer.",
            "minimum": 0.1,
            "maximum": 3600,
            "default": 3,
        },
        "max_output_bytes": integer_schema("The largest file that is kept of an output.", minimum=1, maximum=2**30, default=100 * 2**20),
        "output_types": {
            "type": "array",
            "description": "The MIME types that files of an output may have, like image/png or image/*. Empty: any.",
            "items": {"type": "string", "pattern": "^[a-z]+/([a-z0-9.+-]+|\\*)$", "maxLength": 127},
            "maxItems": 50,
            "default": [],
        },
        "allow_private_addresses": {
            "type": "boolean",
            "description": "Fetch outputs also from this machine and its network. The provider's own address is always allowed.",
            "default": False,
        },
    }
    return object_schema({**shared, **properties}, required=required)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderApi:
    """One provider, for one call. `base_url` is an operator's word and may be anywhere, also on this machine."""

    base_url: str
    timeout_seconds: float
    secret_headers: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    max_redirects: int = MAX_REDIRECTS
    # Of redirects: where else than on the public internet, and at the provider's own origin, they may lead.
    allow_private_addresses: bool = False

    @classmethod
    def of(
        cls, request: Request, config: Mapping[str, Any], *, scheme: str = "Bearer", timeout_seconds: float | None = None
    ) -> "ProviderApi":
        """Read address and key from a tool's configuration. `scheme` stands before the key in `Authorization`.

        Raises:
            ToolError: permanent, `secret_missing`.
        """
        secret = {}
        if config["api_key_env"]:
            secret["Authorization"] = f"{scheme} {read_secret(config['api_key_env'], tool=request.tool)}".strip()
        return cls(
            base_url=config["base_url"].rstrip("/"),
            timeout_seconds=timeout_seconds or request.timeout_seconds,
            secret_headers=secret,
            allow_private_addresses=config.get("allow_private_addresses") is True,
        )

    @property
    def host(self) -> str:
        return httpx2.URL(self.base_url).host

    def prefixes(self, paths: Sequence[str]) -> list[str]:
        """Return the URLs of paths below `base_url`, or, of those that begin with a slash, of paths at its host."""
        root = str(httpx2.URL(self.base_url).copy_with(raw_path=b""))
        return [f"{root}{path}" if path.startswith("/") else f"{self.base_url}/{path}" for path in paths]

    def url(self, path: str) -> str:
        """Return the address of a path below `base_url`, or a whole address that the provider named, if it is its own.

        Raises:
            ToolError: `bad_answer`: the address is somebody else's, who must not get our key.
        """
        if not path.startswith(("http://", "https://")):
            return f"{self.base_url}/{path.lstrip('/')}"
        home, named = httpx2.URL(self.base_url), httpx2.URL(path)
        if (home.scheme, home.host, home.port) != (named.scheme, named.host, named.port):
            raise ToolError(f"{home.host} names an address at {named.host}, which is not its own.", code="bad_answer", permanent=True)
        return path

    async def send(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        expected: Collection[int] = (),
        max_bytes: int = MAX_ANSWER_BYTES,
        sink: Sink | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """Make a request and return its answer: a status of 2xx, or one that is `expected`. A `sink` takes the body as it comes.

        `repeatable`: whether it may be made twice without harm; by default as its method says. One that may not is a
        submission, and follows no redirect: it would be made a second time, or elsewhere.

        Raises:
            ToolError: any other status, or no answer (see `http_errors`). Ambiguous only for submissions.
        """
        if json is not None:
            content = json_text.dumps(json, ensure_ascii=False, allow_nan=False).encode()
        outgoing = Outgoing(
            method=method,
            url=self.url(path),
            headers={**({"Content-Type": "application/json"} if json is not None else {}), **self.headers, **(headers or {})},
            secret_headers=self.secret_headers,
            content=content,
            max_bytes=max_bytes,
            timeout_seconds=self.timeout_seconds,
            allow_private_addresses=self.allow_private_addresses,
            trusted_url=self.base_url,
            max_redirects=self.max_redirects,
            repeatable=repeatable,
        )
        if not outgoing.is_repeatable:
            outgoing = replace(outgoing, max_redirects=0)
        answer = await exchange(outgoing, sink=sink)
        if not 200 <= answer.status < 300 and answer.status not in expected:  # noqa: PLR2004 - the success statuses of HTTP
            raise answer.error(host=self.host)
        return answer

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """Make a request and return the JSON of its answer. Takes what `send` takes.

        Raises:
            ToolError: as `send`; `bad_answer`: it is no JSON, which is ambiguous as an answer to a submission.
        """
        return self.json_of(await self.send(method, path, **options))

    def json_of(self, answer: Answer) -> Any:
        """Return the JSON of an answer. Raises ToolError as `ask`."""
        try:
            return parse_json(answer.body)
        except BadJson as error:
            details = {"body": clean_text(answer.body[:2000].decode(errors="replace"))}
            message = f"The answer of {self.host} is not JSON: {error}."
            raise ToolError(message, code="bad_answer", ambiguous=answer.leaves_open, details=details) from error
