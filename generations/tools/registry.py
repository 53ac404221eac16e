"""Finds adapters by key: the built-in ones by name, those of other packages by their entry points.

A package offers an adapter by an entry point in the group `grimoire.adapters`, whose name is the adapter's key and
whose value names its class. Nothing is imported before it is asked for.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from .contract import Adapter

GROUP = "grimoire.adapters"

BUILT_IN: Mapping[str, str] = {
    "text.template": "generations.tools.text:TextTemplate",
    "text.join": "generations.tools.text:TextJoin",
    "text.replace": "generations.tools.text_replace:TextReplace",
    "text.split": "generations.tools.text:TextSplit",
    "text.scenes": "generations.tools.scenes:TextScenes",
    "json.parse": "generations.tools.json_parse:JsonParse",
    "json.query": "generations.tools.json_query:JsonQuery",
    "expression": "generations.tools.expression:ExpressionValue",
    "image.paint": "generations.tools.image_paint:ImagePaint",
    "image.resize": "generations.tools.image_resize:ImageResize",
    "image.caption": "generations.tools.image_caption:ImageCaption",
    "image.contact_sheet": "generations.tools.image_contact_sheet:ImageContactSheet",
    "file.fetch": "generations.tools.file_fetch:FileFetch",
    "http.request": "generations.tools.http_request:HttpRequest",
    "http.job": "generations.tools.http_job:HttpJob",
    "openai.chat": "generations.tools.openai_chat:OpenAIChat",
    "openai.image": "generations.tools.openai_image:OpenAIImage",
    "openai.responses": "generations.tools.openai_responses:OpenAIResponses",
    "runpod": "generations.tools.runpod:RunPod",
    "comfydeploy": "generations.tools.comfydeploy:ComfyDeploy",
    "fal": "generations.tools.fal:Fal",
    "replicate": "generations.tools.replicate:Replicate",
    "comfyui": "generations.tools.comfyui:ComfyUI",
    "gradio": "generations.tools.gradio:Gradio",
}


class AdapterNotFound(LookupError):
    """There is no adapter of that key here."""


class AdapterBroken(AdapterNotFound):
    """The package that offers the adapter cannot be loaded, or offers something else."""


@cache
def _offered() -> Mapping[str, EntryPoint]:
    """Return the entry points of other packages by key. A built-in key stays ours."""
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in BUILT_IN}


def all_keys() -> list[str]:
    """Return the keys of all adapters, sorted. Those of other packages may still fail to load."""
    return sorted({*BUILT_IN, *_offered()})


@cache
def get(key: str) -> Adapter:
    """Return the adapter of that key, one instance per process.

    Raises:
        AdapterNotFound: nobody offers it; the message names those that are known.
        AdapterBroken: its package cannot be loaded; the message says why.
    """
    if key in BUILT_IN:
        module, _, name = BUILT_IN[key].partition(":")
        adapter: Adapter = getattr(import_module(module), name)()
        return adapter
    if key in _offered():
        return _load(_offered()[key])
    raise AdapterNotFound(f"There is no adapter {key!r}. Known are: {', '.join(all_keys())}.")


def _load(point: EntryPoint) -> Adapter:
    source = f"Adapter {point.name!r} of package {point.dist.name if point.dist else 'unknown'!r} ({point.value})"
    try:
        offered = point.load()
        adapter = offered() if isinstance(offered, type) and issubclass(offered, Adapter) else None
    except Exception as error:  # another's code may raise anything; it must not reach beyond its own key
        raise AdapterBroken(f"{source} cannot be loaded: {type(error).__name__}: {error}") from error
    if adapter is None:
        raise AdapterBroken(f"{source} is no subclass of generations.tools.contract.Adapter.")
    if getattr(adapter, "key", None) != point.name:
        raise AdapterBroken(f"{source} calls itself {getattr(adapter, 'key', None)!r}; its key must be the entry point's name.")
    return adapter


def forget() -> None:
    """Look for entry points again at the next call, after packages came or went."""
    _offered.cache_clear()
    get.cache_clear()
