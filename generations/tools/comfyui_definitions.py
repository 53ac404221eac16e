"""The tools that come with ComfyUI's adapter: a picture from a text, and a picture made larger."""

from collections.abc import Mapping
from typing import Any

from .comfyui_history import OUTPUT_SCHEMA
from .definition import EXAMPLE_IMAGE, SEED_SCHEMA, ToolDefinition, artifact_schema, integer_schema, object_schema, text_schema

BASE_URL = "http://127.0.0.1:8188"

_PAINT_INPUTS = object_schema(
    {
        "prompt": text_schema("What to paint.", max_length=4000, minLength=1),
        "negative": text_schema("What to keep out.", max_length=4000, default=""),
        "width": integer_schema("In pixels.", minimum=64, maximum=4096, default=512),
        "height": integer_schema("In pixels.", minimum=64, maximum=4096, default=512),
        "steps": integer_schema("More take longer and are finer.", minimum=1, maximum=150, default=20),
        "seed": {**{name: value for name, value in SEED_SCHEMA.items() if name != "default"}, "description": "Left out: any."},
    },
    required=("prompt",),
)
_PAINT: Mapping[str, Any] = {
    "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5-pruned-emaonly.safetensors"}},
    "positive": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["model", 1], "text": "{{ inputs.prompt }}"}},
    "negative": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["model", 1], "text": "{{ inputs.negative }}"}},
    "canvas": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": "{{ inputs.width }}", "height": "{{ inputs.height }}", "batch_size": 1},
    },
    "paint": {
        "class_type": "KSampler",
        "inputs": {
            "model": ["model", 0],
            "positive": ["positive", 0],
            "negative": ["negative", 0],
            "latent_image": ["canvas", 0],
            "seed": "{{ seed }}",
            "steps": "{{ inputs.steps }}",
            "cfg": 7.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
        },
    },
    "decode": {"class_type": "VAEDecode", "inputs": {"samples": ["paint", 0], "vae": ["model", 2]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["decode", 0], "filename_prefix": "grimoire"}},
}
_UPSCALE_INPUTS = object_schema({"image": artifact_schema("The picture.", kind="image")}, required=("image",))
_UPSCALE: Mapping[str, Any] = {
    "load": {"class_type": "LoadImage", "inputs": {"image": "{{ inputs.image }}"}},
    "model": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "RealESRGAN_x4plus.pth"}},
    "upscale": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["model", 0], "image": ["load", 0]}},
    "save": {"class_type": "SaveImage", "inputs": {"images": ["upscale", 0], "filename_prefix": "grimoire-large"}},
}

DEFINITIONS = (
    ToolDefinition(
        slug="comfyui",
        provider="comfyui",
        name="Paint with ComfyUI",
        description="Runs a workflow at a ComfyUI server: this one paints a picture from a text. Another is another tool, with its own workflow.",
        category="image",
        input_schema=_PAINT_INPUTS,
        output_schema=OUTPUT_SCHEMA,
        example={"prompt": "a lighthouse at dusk, oil on canvas"},
        config={"base_url": BASE_URL, "workflow": _PAINT, "input_schema": _PAINT_INPUTS},
        retry_lost_jobs=True,
        run_timeout_seconds=60,
        deadline_seconds=3600,
    ),
    ToolDefinition(
        slug="comfyui.upscale",
        provider="comfyui",
        name="Enlarge with ComfyUI",
        description="Makes a picture four times as large, by an upscaling model at a ComfyUI server.",
        category="image",
        input_schema=_UPSCALE_INPUTS,
        output_schema=OUTPUT_SCHEMA,
        example={"image": EXAMPLE_IMAGE},
        config={"base_url": BASE_URL, "workflow": _UPSCALE, "input_schema": _UPSCALE_INPUTS},
        retry_lost_jobs=True,
        run_timeout_seconds=120,
        deadline_seconds=3600,
    ),
)
