"""JSON as HTML that is read with ease: indented, long texts folded, whatever somebody put into it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from .formats import NOTHING, size

# Returns an image and a few words on it for an object that stands for a picture, and None for any other.
Picture = Callable[[Mapping[str, Any]], tuple[SafeString, str] | None]

MAX_CHARACTERS = 100_000
MAX_VALUES = 2_000
MAX_DEPTH = 30

_LONG = 240
_SHOWN = 100
_LINE = 100

# Invisible characters that turn the order of what follows, and control characters but for tab and newline.
_DECEIVING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


def visible(text: str) -> str:
    """Return text with its invisible and order-turning characters written as JSON escapes."""
    return _DECEIVING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def json_html(value: Any, *, picture: Picture | None = None) -> SafeString:
    """Return a JSON value as escaped HTML, cut where it gets too long for a page.

    `picture` may turn an object that stands for a picture into an image; the object itself is folded beside it.
    """
    if value is None:
        return mark_safe(f'<span class="quiet">{NOTHING}</span>')  # noqa: S308 - a constant
    writer = _Writer(picture)
    writer.write(value, indent=0)
    return format_html('<div class="json" dir="ltr">{}</div>', mark_safe("".join(writer.parts)))  # noqa: S308 - each part is escaped


def cut_json_html(text: str | None, *, limit: int, picture: Picture | None = None) -> SafeString:
    """Return JSON text that was cut after `limit` characters as HTML: whole, if it was not longer, else as it stands."""
    if text is None:
        return json_html(None)
    if len(text) <= limit:
        return json_html(json.loads(text), picture=picture)
    return format_html('<div class="json" dir="ltr">{}… <span class="quiet">cut after {}</span></div>', visible(text[:limit]), size(limit))


class _Writer:
    """Writes one value, part by part, within a budget of characters and values."""

    def __init__(self, picture: Picture | None) -> None:
        """Take what turns references into images, if anything does."""
        self.parts: list[str] = []
        self._picture = picture
        self._characters = MAX_CHARACTERS
        self._values = MAX_VALUES
        self._is_after_fold = False

    def write(self, value: Any, *, indent: int) -> None:
        self._values -= 1
        match value:
            case str():
                self._string(value)
            case Mapping() | list() if not value:
                self._text("{}" if isinstance(value, Mapping) else "[]")
            case Mapping() | list() if indent >= MAX_DEPTH:
                self._text("{…}" if isinstance(value, Mapping) else "[…]")
            case Mapping():
                self._object_or_picture(value, indent=indent)
            case list():
                self._list(value, indent=indent)
            case _:
                self._span("j-atom", _atom(value))

    @property
    def _is_spent(self) -> bool:
        return self._characters <= 0 or self._values <= 0

    def _object_or_picture(self, value: Mapping[str, Any], *, indent: int) -> None:
        drawn = self._picture(value) if self._picture else None
        if drawn is None:
            self._object(value, indent=indent)
            return
        image, words = drawn
        self.parts.append(format_html('{}<details class="j-long"><summary>{}</summary><div class="j-block">', image, visible(words)))
        self._object(value, indent=0)
        self.parts.append("</div></details>")
        self._is_after_fold = True

    def _object(self, value: Mapping[str, Any], *, indent: int) -> None:
        self._text("{")
        for place, (name, member) in enumerate(value.items()):
            if self._rest(len(value) - place, indent=indent):
                break
            self._comma(place)
            self._text("\n" + "  " * (indent + 1))
            self._span("j-key", json.dumps(str(name)[:_LONG], ensure_ascii=False))
            self._text(": ")
            self.write(member, indent=indent + 1)
        self._text("\n" + "  " * indent + "}")

    def _list(self, value: Sequence[Any], *, indent: int) -> None:
        flat = all(self._is_small(item) for item in value)
        self._text("[")
        for place, item in enumerate(value):
            if self._rest(len(value) - place, indent=indent):
                break
            self._comma(place)
            self._text((" " if place else "") if flat else "\n" + "  " * (indent + 1))
            self.write(item, indent=indent + 1)
        self._text("]" if flat else "\n" + "  " * indent + "]")

    def _is_small(self, value: Any) -> bool:
        is_picture = isinstance(value, Mapping) and self._picture is not None and self._picture(value) is not None
        return is_picture or value is None or isinstance(value, bool | int | float)

    def _comma(self, place: int) -> None:
        """Part two members, but for behind what is folded: there a comma would stand on a line of its own."""
        self._text("," if place and not self._is_after_fold else "")
        self._is_after_fold = False

    def _rest(self, left: int, *, indent: int) -> bool:
        if self._is_spent:
            self._text("\n" + "  " * (indent + 1))
            self._span("quiet", f"… {left} more")
        return self._is_spent

    def _string(self, value: str) -> None:
        if len(value) <= _LONG and value.count("\n") <= 1:
            self._span("j-text", json.dumps(value, ensure_ascii=False))
            return
        shown = value[: max(self._characters, 0)]
        self._characters -= len(shown)
        folded = '<details class="j-long"><summary>{} <span class="quiet">{} characters</span></summary><div class="j-block">{}{}</div></details>'
        opening = json.dumps(value[:_SHOWN].split("\n", maxsplit=1)[0], ensure_ascii=False)[:-1] + "…"
        cut = "" if len(shown) == len(value) else "… (cut)"
        self.parts.append(format_html(folded, visible(opening), f"{len(value):,}", visible(shown), cut))
        self._is_after_fold = True

    def _span(self, css_class: str, text: str) -> None:
        self._characters -= len(text)
        self.parts.append(format_html('<span class="{}">{}</span>', css_class, visible(text)))

    def _text(self, text: str) -> None:
        self._characters -= len(text)
        self.parts.append(conditional_escape(text))


def _atom(value: Any) -> str:
    """Return a number, a boolean or null. A number of many digits is cut before it costs time to print."""
    if isinstance(value, int) and value.bit_length() > 4 * _LINE:
        return f"{'-' if value < 0 else ''}a number of {value.bit_length()} bits"
    return json.dumps(value)[:_LINE]
