"""Rarities as a picture: for each trait what was asked for, what was made, and what was accepted of it. SVG, drawn by hand."""

from collections.abc import Sequence
from fractions import Fraction
from xml.etree.ElementTree import Element, SubElement, tostring

from .analytics import TraitFigures

MAX_ROWS = 400

_ROW, _GAP, _HEAD = 22, 14, 26
_LABELS, _BARS, _NUMBERS = 220, 420, 150
_WIDTH = _LABELS + _BARS + _NUMBERS
_MADE, _ACCEPTED, _ASKED, _INK, _FAINT = "#5b8def", "#3aa76d", "#d9480f", "#1f2933", "#7b8794"
_LONGEST = 30


def rarity_chart(traits: Sequence[TraitFigures], *, title: str) -> bytes:
    """Return an SVG of the shares of traits, category by category: bars of what was made and accepted, a mark at what was asked."""
    shown = traits[:MAX_ROWS]
    picture = Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "font-family": "sans-serif", "font-size": "12"})
    SubElement(picture, "rect", {"width": "100%", "height": "100%", "fill": "#ffffff"})
    _text(picture, 12, 22, title[:80], size=16)
    _legend(picture, 44)
    top, category = 62, ""
    for row in shown:
        if row.made.category != category:
            category = row.made.category
            top += _GAP
            _text(picture, 12, top + 16, _short(category), size=13)
            top += _HEAD
        _row(picture, top, row)
        top += _ROW
    if len(traits) > len(shown):
        _text(picture, 12, top + 18, f"and {len(traits) - len(shown):,} more", colour=_FAINT)
        top += _ROW
    height = top + 16
    picture.attrib |= {"width": str(_WIDTH), "height": str(height), "viewBox": f"0 0 {_WIDTH} {height}"}
    drawn: bytes = tostring(picture, encoding="utf-8", xml_declaration=True)
    return drawn


def _row(picture: Element, top: int, row: TraitFigures) -> None:
    _text(picture, 24, top + 14, _short(row.made.value))
    _bar(picture, top + 3, row.made.share, _MADE)
    _bar(picture, top + 11, row.accepted.share, _ACCEPTED)
    if row.made.asked is not None:
        place = _LABELS + _BARS * float(row.made.asked)
        SubElement(picture, "rect", {"x": f"{place:.1f}", "y": str(top), "width": "2", "height": str(_ROW - 2), "fill": _ASKED})
    _text(picture, _LABELS + _BARS + 12, top + 14, f"{_percent(row.made.asked)} / {_percent(row.made.share)}", colour=_FAINT)


def _bar(picture: Element, top: int, share: Fraction | None, colour: str) -> None:
    width = _BARS * float(share or 0)
    SubElement(picture, "rect", {"x": str(_LABELS), "y": str(top), "width": f"{width:.1f}", "height": "7", "fill": colour})


def _legend(picture: Element, top: int) -> None:
    for place, (colour, word) in enumerate([(_ASKED, "asked for"), (_MADE, "made"), (_ACCEPTED, "accepted")]):
        left = 12 + place * 110
        SubElement(picture, "rect", {"x": str(left), "y": str(top - 9), "width": "10", "height": "10", "fill": colour})
        _text(picture, left + 16, top, word, colour=_FAINT)


def _text(picture: Element, left: int, base: int, text: str, *, size: int = 12, colour: str = _INK) -> None:
    SubElement(picture, "text", {"x": str(left), "y": str(base), "font-size": str(size), "fill": colour}).text = text


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _percent(share: Fraction | None) -> str:
    return "?" if share is None else f"{float(share):.1%}"
