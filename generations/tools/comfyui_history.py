"""What ComfyUI remembers of a workflow that ended: its files, its error, how long it took."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from generations.outputs import clean_text

from .contract import Cost, RemoteFile, Request, Result, ToolError
from .definition import artifact_schema, object_schema
from .pricing import charge
from .provider_api import ProviderApi

MAX_TEXTS = 100
_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif", ".bmp"})
_ENDS = frozenset({"execution_success", "execution_error", "execution_interrupted"})

OUTPUT_SCHEMA = object_schema(
    {
        "files": {
            "type": "array",
            "description": "All files of all nodes, in the order in which ComfyUI lists them.",
            "items": object_schema(
                {
                    "node": {"type": "string", "description": "The id of the node that made it."},
                    "kind": {"type": "string", "description": "What the node calls it: images, gifs, audio, 3d ..."},
                    "type": {"type": "string", "description": "output, or temp for a preview inside the workflow."},
                    "file": artifact_schema("The file.", kind="file"),
                },
                required=("node", "kind", "type", "file"),
            ),
            "maxItems": 200,
        },
        "image": artifact_schema("The first picture, if there is one.", kind="image"),
        "images": {
            "type": "array",
            "description": "The pictures that are outputs; if there are none, those that are previews.",
            "items": artifact_schema("A picture.", kind="image"),
            "maxItems": 200,
        },
        "texts": {
            "type": "array",
            "description": "The texts that nodes show.",
            "items": object_schema(
                {"node": {"type": "string", "description": "The id of the node."}, "text": {"type": "string", "description": "The text."}},
                required=("node", "text"),
            ),
            "maxItems": MAX_TEXTS,
        },
    },
    required=("files", "images", "texts"),
)


def outcome(request: Request, api: ProviderApi, entry: Mapping[str, Any], *, nodes: list[str]) -> Result | ToolError:
    """Return what an entry of the history means. `nodes` are those whose outputs count; none: all.

    An interrupted workflow is told as an error there; only its messages say what it was.
    """
    status = entry.get("status") if isinstance(entry.get("status"), Mapping) else {}
    assert isinstance(status, Mapping)
    messages = [message for message in _list(status.get("messages")) if _is_message(message)]
    seconds = _seconds(messages)
    for event, data in messages:
        if event == "execution_error":
            return _error_of(data, cost=_cost(request, seconds))
        if event == "execution_interrupted":
            message = f"The workflow was interrupted at ComfyUI{_at_node(data)}."
            return ToolError(message, code="interrupted", permanent=True, cost=_cost(request, seconds))
    if status.get("status_str") == "error":
        return ToolError("The workflow failed at ComfyUI, which does not say why.", code="execution_failed", cost=_cost(request, seconds))
    made = list(_made(entry, nodes))
    output = _output(api, made)
    if not output["files"] and not output["texts"]:
        message = "The workflow ended without any output: it needs a node that saves something, like SaveImage."
        return ToolError(message, code="no_output", permanent=True, cost=_cost(request, seconds))
    return Result(output=output, cost=_cost(request, seconds, images=len(output["images"])))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_message(message: Any) -> bool:
    return isinstance(message, list) and len(message) == 2 and isinstance(message[0], str) and isinstance(message[1], Mapping)  # noqa: PLR2004 - event and data


def _at_node(data: Mapping[str, Any]) -> str:
    node, kind = data.get("node_id"), data.get("node_type")
    return f", at node {str(node)[:50]} ({str(kind)[:100]})" if node is not None else ""


def _error_of(data: Mapping[str, Any], *, cost: Cost | None) -> ToolError:
    """Return the error of a node. Only one of memory may pass by itself."""
    kind, words = str(data.get("exception_type") or ""), str(data.get("exception_message") or "").strip()
    told = ": ".join(part for part in (kind.rpartition(".")[2][:100], words[:1000]) if part) or "no reason was told"
    traceback = "".join(str(line) for line in _list(data.get("traceback"))[-20:])
    return ToolError(
        clean_text(f"The workflow failed{_at_node(data)}: {told}"),
        code="execution_failed",
        permanent="OutOfMemory" not in kind,
        cost=cost,
        details={"exception_type": kind[:200], "traceback": traceback[-2000:]},
    )


def _seconds(messages: list[Any]) -> float | None:
    """Return how long the workflow was at work, by ComfyUI's own clock, which tells milliseconds."""
    times = {event: data.get("timestamp") for event, data in messages if event == "execution_start" or event in _ENDS}
    start = times.pop("execution_start", None)
    end = next(iter(times.values()), None)
    if not isinstance(start, int | float) or not isinstance(end, int | float) or isinstance(start, bool):
        return None
    return round(max(0.0, end - start) / 1000, 3)


def _cost(request: Request, seconds: float | None, *, images: int | None = None) -> Cost | None:
    """Return what a workflow cost: the call and its time, also when it failed; its pictures, when it succeeded."""
    quantities: dict[str, float | None] = {"per_call": 1, "per_second": seconds}
    return charge(request, quantities if images is None else {**quantities, "per_image": images})


def _made(entry: Mapping[str, Any], nodes: list[str]) -> Iterator[tuple[str, str, Any]]:
    """Yield what nodes made: node, what the node calls it, and a file or a text."""
    outputs = entry.get("outputs")
    for node, shown in outputs.items() if isinstance(outputs, Mapping) else ():
        if isinstance(shown, Mapping) and (not nodes or node in nodes):
            for kind, items in shown.items():
                for item in _list(items):
                    yield clean_text(str(node)[:100]), clean_text(str(kind)[:100]), item


def _output(api: ProviderApi, made: list[tuple[str, str, Any]]) -> dict[str, Any]:
    files: list[dict[str, Any]] = [
        {"node": node, "kind": kind, "type": _type_of(item), "file": _file(api, item)} for node, kind, item in made if _names_file(item)
    ]
    texts = [{"node": node, "text": clean_text(item)} for node, _, item in made if isinstance(item, str)]
    pictures = [each for each in files if _is_picture(each["file"])]
    images = [each["file"] for each in pictures if each["type"] == "output"] or [each["file"] for each in pictures]
    output: dict[str, Any] = {"files": files, "images": images, "texts": texts[:MAX_TEXTS]}
    return {**output, "image": images[0]} if images else output


def _names_file(item: Any) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get("filename"), str) and bool(item["filename"])


def _type_of(item: Mapping[str, Any]) -> str:
    told = item.get("type")
    return told if told in ("output", "temp", "input") else "output"


def _file(api: ProviderApi, item: Mapping[str, Any]) -> RemoteFile:
    subfolder = item.get("subfolder")
    query = {"filename": item["filename"], "subfolder": subfolder if isinstance(subfolder, str) else "", "type": _type_of(item)}
    name = clean_text(item["filename"])[:255]
    return RemoteFile(url=api.url(f"view?{urlencode(query, errors='replace')}"), name=name)


def _is_picture(file: RemoteFile) -> bool:
    return any(file.name.lower().endswith(ending) for ending in _PICTURES)
