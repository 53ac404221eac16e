"""The API's description in OpenAPI: what drf-spectacular cannot see by itself."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from config.problems import INVALID, KINDS, MALFORMED, NOT_FOUND, PROBLEM_TYPE, TOO_LARGE, Kind

PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "The kind of problem, for programs."},
        "title": {"type": "string", "description": "The kind of problem, for people."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What went wrong this time."},
        "errors": {
            "type": "array",
            "description": "The places in the request that must be mended.",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "The place, like inputs.theme."},
                    "message": {"type": "string"},
                },
                "required": ["path", "message"],
            },
        },
    },
    "required": ["type", "title", "status", "detail", "errors"],
}
CONFLICTS = ", ".join(f"`{kind.name}`" for kind in KINDS.values() if kind.status == 409)  # noqa: PLR2004 - Conflict

CALLBACKS = "/api/v1/callbacks/"
# What can go wrong, by status, and with which operations.
_TOLD: Mapping[int, str] = {
    400: "The address, a header or the body cannot be read.",
    401: "Who asks is not known. Send an API key as `Authorization: Bearer <key>`, or log in.",
    403: "You may see this, but not do that.",
    404: "There is nothing here that you may see.",
    406: "There is no answer of the type that was asked for.",
    409: f"What stands forbids it: {CONFLICTS}.",
    413: "The body is too large.",
    503: "It cannot be done at present. Come back after `Retry-After` seconds.",
    415: "The body is of a type that is not read here.",
    416: "The file has no such part.",
    422: "The body can be read, but says something that cannot be done. `errors` name the places.",
    429: "You have as many streams open as you may.",
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # registers itself at import
    """How an API key is sent."""

    target_class = "config.authentication.BearerAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:  # noqa: ARG002 - the base's signature
        """Return the scheme."""
        return {"type": "http", "scheme": "bearer", "description": "An API key: `manage.py create_api_key USERNAME` prints one."}


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add to each operation the problems that it may answer with. A postprocessing hook of drf-spectacular."""
    components = result.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["responses"] = {f"Problem{status}": _response(status) for status in _TOLD}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            if "requestBody" in operation:
                operation["requestBody"].setdefault("required", not _may_be_empty(operation["requestBody"]))
            for status in _statuses(path, method, operation):
                operation["responses"].setdefault(str(status), {"$ref": f"#/components/responses/Problem{status}"})
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result


def _may_be_empty(body: Mapping[str, Any]) -> bool:
    """Tell whether an empty object would do, so that no body need be sent."""
    return not any("required" in media["schema"] for media in body["content"].values())


def _statuses(path: str, method: str, operation: Mapping[str, Any]) -> list[int]:
    if path.startswith(CALLBACKS):
        return [400, 401, 404, 413, 503]
    statuses = [400, 401, 406]
    if "{" in path:
        statuses.append(404)
    if method != "get":
        statuses += [403, 413, 415, 422]
        statuses += [] if path.endswith("/validate/") else [409]
    elif "signature" in {parameter["name"] for parameter in operation.get("parameters", ())}:
        statuses.append(403)
    if "206" in operation["responses"]:
        statuses.append(416)
    if path.endswith("/archive/"):
        statuses.append(409)  # it is not ready
    if "text/event-stream" in operation["responses"].get("200", {}).get("content", {}):
        statuses += [429, 503]
    return statuses


def _response(status: int) -> dict[str, Any]:
    kinds = [kind for kind in (INVALID, MALFORMED, NOT_FOUND, TOO_LARGE) if kind.status == status]
    kind = kinds[0] if kinds else next((kind for kind in KINDS.values() if kind.status == status), Kind.of_status(status))
    errors = [{"path": "inputs.theme", "message": "is missing"}] if kind is INVALID else []
    detail = "inputs.theme: is missing" if kind is INVALID else _TOLD[status].partition(".")[0] + "."
    example = {"type": kind.urn, "title": kind.title, "status": status, "detail": detail, "errors": errors}
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}}
    return {"description": _TOLD[status], "content": content}
