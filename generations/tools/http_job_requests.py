"""http.job: requests made from their templates."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from spells.expressions import ExpressionError, Template, compile_template, compile_value

from .contract import Request, ToolError
from .given_files import GivenFile, with_files
from .http_client import Answer
from .http_job_config import NAMES, place_of
from .provider_api import ProviderApi

MAX_URL_CHARACTERS = 8000


def namespace_of(request: Request, *, job_id: str = "") -> dict[str, Any]:
    """Return what stands ready for the expressions of all requests."""
    return {
        "inputs": dict(request.inputs),
        "job_id": job_id,
        "kept": dict(request.job_handle),
        "callback_url": request.callback_url or None,
        "idempotency_key": str(request.idempotency_key),
        "generation_id": str(request.generation_id),
        "deadline_seconds": request.deadline_seconds,
    }


async def make(
    api: ProviderApi, request: Request, config: Mapping[str, Any], name: str, *, job_id: str = "", expected: tuple[int, ...] = ()
) -> Answer:
    """Make the request of that name of the configuration. Only `submit` must not be made twice.

    Raises:
        ToolError: as `ProviderApi.send`; permanent, `bad_template`: an expression has no value.
    """
    told = config["lookup"]["request"] if name == "lookup" else config[name]
    namespace = {key: value for key, value in namespace_of(request, job_id=job_id).items() if key in NAMES[name]}
    try:
        path = _path(told["path"], namespace, place=f"{place_of(name)}.path", names=NAMES[name])
        query = _filled(told["query"], namespace, place=f"{place_of(name)}.query", names=NAMES[name])
        headers = _filled(told["headers"], namespace, place=f"{place_of(name)}.headers", names=NAMES[name])
        body = _filled(told["body"], namespace, place=f"{place_of(name)}.body", names=NAMES[name]) if "body" in told else None
    except ExpressionError as error:
        raise ToolError(f"The tool {request.tool} cannot be asked that way: {error}", code="bad_template", permanent=True) from error

    async def give(file: GivenFile) -> str:
        return file.data_uri()

    given = await with_files(request, body, give=give, max_bytes=config["max_input_bytes"])
    return await api.send(
        told["method"],
        _with_query(path, query, request),
        json=given,
        headers=_header_texts(headers, request),
        expected=expected,
        # providers have their own mind of methods: what a request does is what it is for
        repeatable=name != "submit",
    )


def _path(source: str, namespace: Mapping[str, Any], *, place: str, names: frozenset[str]) -> str:
    """Return a path. What was kept stands in it as it is, all else as one word of a path, whatever is in it."""
    quoted = {name: value if name == "kept" else _quoted(value) for name, value in namespace.items()}
    path = compile_template(source, path=place, names=names).evaluate(quoted)
    if not isinstance(path, str) or not path:
        raise ExpressionError("gives no text", path=place)
    return path


def _quoted(value: Any) -> Any:
    if isinstance(value, str):
        text = quote(value, safe="")
        return text.replace(".", "%2E") if text.strip(".") == "" else text
    if isinstance(value, dict):
        return {name: _quoted(inner) for name, inner in value.items()}
    return [_quoted(inner) for inner in value] if isinstance(value, list) else value


def _filled(value: Any, namespace: Mapping[str, Any], *, place: str, names: frozenset[str]) -> Any:
    tree = compile_value(value, path=place, names=names)
    return _without_nothing(tree.value, tree.evaluate(namespace))


def _without_nothing(template: Any, value: Any) -> Any:
    """Return a value without the members whose expressions gave none."""
    if isinstance(template, dict):
        members = ((name, inner, value[name]) for name, inner in template.items())
        return {name: _without_nothing(inner, got) for name, inner, got in members if not (isinstance(inner, Template) and got is None)}
    if isinstance(template, list):
        return [_without_nothing(inner, got) for inner, got in zip(template, value, strict=True)]
    return value


def _with_query(path: str, query: Mapping[str, Any], request: Request) -> str:
    pairs = [(name, _text(value)) for name, value in query.items()]
    url = f"{path}{'&' if '?' in path else '?'}{urlencode(pairs)}" if pairs else path
    if len(url) > MAX_URL_CHARACTERS:
        message = f"The tool {request.tool} would ask for an address of more than {MAX_URL_CHARACTERS} characters."
        raise ToolError(message, code="bad_template", permanent=True)
    return url


def _header_texts(headers: Mapping[str, Any], request: Request) -> dict[str, str]:
    texts = {name: _text(value) for name, value in headers.items()}
    for name, text in texts.items():
        if not (text.isascii() and text.isprintable()):
            message = f"The tool {request.tool} would send a header {name} with characters that no header has."
            raise ToolError(message, code="bad_template", permanent=True)
    return texts


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
