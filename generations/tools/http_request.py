"""http.request: any HTTP API."""

import codecs
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from generations.outputs import clean_text
from spells.models.tool import Effects

from .configuration import HEADER_NAME, HEADER_VALUE, headers_schema, read_config, read_headers
from .contract import Adapter, Cost, Request, Result, ToolDefinition, ToolError
from .definition import artifact_schema, integer_schema, object_schema, text_schema
from .file_fetch import mime_type_of
from .http_client import SAFE_METHODS, Answer, Outgoing, exchange
from .http_errors import said_elsewhere
from .json_parse import BadJson, parse_json
from .pricing import charge
from .threads import keep_async

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Ours to say, or about the connection: not for whoever writes a spell.
_FORBIDDEN_HEADERS = frozenset(
    [
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
# What of an answer's headers a spell may see: nothing that identifies us to the provider.
_SHOWN_HEADERS = [
    "content-type",
    "content-length",
    "date",
    "etag",
    "last-modified",
    "link",
    "location",
    "retry-after",
    "x-request-id",
    "x-total-count",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
]


# Errors of an answer that came: the call was made.
_ANSWERED = frozenset({"too_large", "bad_answer"})


class HttpRequest(Adapter):
    """Calls a URL."""

    key = "http.request"
    config_schema: ClassVar[Mapping[str, Any]] = object_schema(
        {
            "allow_private_addresses": {"type": "boolean", "description": "Let it call this machine and its network.", "default": False},
            "hosts": {
                "type": "array",
                "description": "The only hosts that it may call, in lower case. Required with secrets in `headers`.",
                "items": {"type": "string", "pattern": "^[a-z0-9.:-]+$", "maxLength": 253},
                "maxItems": 100,
                "default": [],
            },
            "headers": headers_schema("Headers of every request; they win over those of a spell."),
            "max_bytes": integer_schema("The largest answer that it reads.", minimum=1, maximum=2**28, default=5 * 2**20),
        }
    )
    definitions: ClassVar[tuple[ToolDefinition, ...]] = (
        ToolDefinition(
            slug="http.request",
            name="Call a URL",
            description=(
                "Makes one HTTP request and returns its answer as JSON, text or, when it is neither, a file. An error status fails "
                "the step unless `fail_on_error` is off. Addresses that are not on the public internet are refused."
            ),
            category="web",
            input_schema=object_schema(
                {
                    "method": {"type": "string", "description": "What to do.", "enum": list(METHODS), "default": "GET"},
                    "url": text_schema("What to call.", max_length=2000, minLength=8),
                    "headers": {
                        "type": "object",
                        "description": "Headers of the request.",
                        "additionalProperties": {"type": "string", "pattern": HEADER_VALUE, "maxLength": 2000},
                        "propertyNames": {"pattern": HEADER_NAME},
                        "maxProperties": 50,
                        "default": {},
                    },
                    "json": {"description": "A body, sent as JSON."},
                    "body": text_schema("A body, sent as text. Not together with `json`.", max_length=1_000_000),
                    "fail_on_error": {"type": "boolean", "description": "Fail on a status of 400 or more.", "default": True},
                },
                required=("url",),
            ),
            output_schema=object_schema(
                {
                    "status": integer_schema("The status code.", minimum=100, maximum=999),
                    "headers": {"type": "object", "description": "Some headers of the answer, in lower case."},
                    "json": {"description": "The body, when it is JSON."},
                    "text": {"type": "string", "description": "The body, when it is text."},
                    "file": artifact_schema("The body, when it is neither.", kind="file"),
                },
                required=("status", "headers"),
            ),
            example={"method": "POST", "url": "https://example.com/api/stories", "json": {"title": "The lamp"}},
            effects=Effects.BILLED,
            pricing={"per_call": "0"},
        ),
    )

    async def run(self, request: Request) -> Result:
        config = read_config(request, self.config_schema)
        outgoing, cost = _outgoing(request, config), charge(request, {"per_call": 1})
        with said_elsewhere():
            try:
                answer = await exchange(outgoing)
            except ToolError as error:
                error.cost = cost if error.code in _ANSWERED else None
                raise
            if answer.status >= 400 and request.inputs["fail_on_error"]:  # noqa: PLR2004 - the error statuses of HTTP
                raise answer.error()
        headers = {name: clean_text(answer.headers[name][:2000]) for name in _SHOWN_HEADERS if name in answer.headers}
        return Result(output={"status": answer.status, "headers": headers, **await _body(request, answer, cost)}, cost=cost)


def _outgoing(request: Request, config: Mapping[str, Any]) -> Outgoing:
    inputs = request.inputs
    headers = {name: value for name, value in inputs["headers"].items() if name.lower() not in _FORBIDDEN_HEADERS}
    if len(headers) < len(inputs["headers"]):
        refused = ", ".join(sorted(set(inputs["headers"]) - set(headers)))
        raise ToolError(f"These headers cannot be set: {refused}.", code="bad_header", permanent=True)
    if "json" in inputs and "body" in inputs:
        raise ToolError("Give `json` or `body`, not both.", code="bad_body", permanent=True)
    content = None
    if "json" in inputs:
        content = json.dumps(inputs["json"], ensure_ascii=False, allow_nan=False).encode()
        headers = {"Content-Type": "application/json", **headers}
    elif "body" in inputs:
        content = inputs["body"].encode()
    return Outgoing(
        method=inputs["method"],
        url=inputs["url"],
        headers=headers,
        secret_headers=_configured_headers(request, config),
        content=content,
        max_bytes=config["max_bytes"],
        timeout_seconds=request.timeout_seconds,
        allow_private_addresses=config["allow_private_addresses"],
        hosts=tuple(config["hosts"]),
    )


def _configured_headers(request: Request, config: Mapping[str, Any]) -> dict[str, str]:
    """Return the headers of the configuration with their secrets, which no stranger's host may get."""
    secrets = [name for name, value in config["headers"].items() if not isinstance(value, str)]
    if secrets and not config["hosts"]:
        raise ToolError(
            f"The tool {request.tool} sends secrets ({', '.join(secrets)}) and must name the `hosts` that get them.",
            code="bad_config",
            permanent=True,
        )
    return read_headers(config["headers"], tool=request.tool)


async def _body(request: Request, answer: Answer, cost: Cost | None) -> dict[str, Any]:
    """Return the body as `json`, `text` or `file`; nothing when there is none. `cost` has been paid, also for one that is unusable."""
    if not answer.body:
        return {}
    claimed = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if claimed.endswith(("/json", "+json")):
        try:
            return {"json": parse_json(answer.body)}
        except BadJson as error:
            # Sent again, a request that changes something would change it twice.
            permanent = request.inputs["method"] not in SAFE_METHODS
            message = f"{answer.url.host} calls its answer JSON, but it is not: {error}."
            raise ToolError(message, code="bad_answer", permanent=permanent, ambiguous=answer.leaves_open, cost=cost) from error
    if not claimed or claimed.startswith("text/") or claimed.endswith(_TEXT_ENDINGS):
        try:
            return {"text": clean_text(answer.body.decode(_charset(answer)))}
        except UnicodeDecodeError:
            claimed = ""
    mime_type = mime_type_of(answer.body, claimed=claimed)
    return {"file": await keep_async(request, answer.body, mime_type=mime_type, source_url=str(answer.url))}


_TEXT_ENDINGS = ("/xml", "+xml", "/javascript", "/x-www-form-urlencoded")
# Python knows many more encodings, some of which take very long over a hostile text.
_CHARSET = re.compile(
    r"charset=\"?(utf-8|utf-16|us-ascii|iso-8859-\d{1,2}|windows-125\d|shift_jis|euc-jp|euc-kr|gb2312|gbk|gb18030|big5|koi8-r)\b",
    re.IGNORECASE,
)


def _charset(answer: Answer) -> str:
    found = _CHARSET.search(answer.headers.get("content-type", "")[:500])
    try:
        return codecs.lookup(found[1]).name if found else "utf-8"
    except LookupError:  # iso-8859-12 was never made
        return "utf-8"
