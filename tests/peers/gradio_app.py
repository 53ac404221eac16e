"""An app of Gradio, run by an interpreter that has it: `python gradio_app.py PORT`."""

import sys
from collections.abc import Iterator
from typing import Any

import gradio


def greet(name: str, times: int) -> tuple[str, dict[str, int]]:
    return "hello " * int(times) + name, {"times": int(times)}


def turn(image: Any) -> Any:
    return image.rotate(90, expand=True)


def gallery(image: Any) -> list[tuple[Any, str]]:
    return [(image, "first"), (image.rotate(180), "second")]


def count(most: int) -> Iterator[str]:
    for number in range(int(most)):
        yield str(number)


def refuse(words: str) -> str:
    raise gradio.Error(words)


def crash(_: str) -> str:
    raise ValueError("a secret of the app")


with gradio.Blocks() as app:
    text, number, picture, data = gradio.Textbox(), gradio.Number(), gradio.Image(type="pil", format="png"), gradio.JSON()
    pictures = gradio.Gallery(format="png")
    for function, taken, given in (
        (greet, [text, number], [text, data]),
        (turn, [picture], [picture]),
        (gallery, [picture], [pictures]),
        (count, [number], [text]),
        (refuse, [text], [text]),
        (crash, [text], [text]),
    ):
        gradio.Button().click(function, taken, given, api_name=function.__name__)

app.queue().launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True, inbrowser=False)
