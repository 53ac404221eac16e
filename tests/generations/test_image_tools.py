import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from uuid_utils.compat import uuid7

from generations.tools.contract import ToolError
from generations.tools.pictures import font, wrapped

from .toolbox import call, opened, picture, problems_with

WIDE = picture(width=60, height=20)
TALL = picture(width=20, height=60)


@pytest.mark.parametrize(
    ("data", "inputs", "size"),
    [
        (WIDE, {"width": 30, "height": 30}, (30, 10)),
        (TALL, {"width": 30, "height": 30}, (10, 30)),
        (WIDE, {"width": 30, "height": 30, "mode": "cover"}, (30, 30)),
        (WIDE, {"width": 30, "height": 30, "mode": "exact"}, (30, 30)),
        (WIDE, {"width": 120}, (120, 40)),
        (WIDE, {"height": 10}, (30, 10)),
        (WIDE, {"width": 600, "enlarge": False}, (60, 20)),
        (WIDE, {"width": 1, "height": 1}, (1, 1)),
        (picture(width=4000, height=1), {"width": 10}, (10, 1)),
        (picture(width=1, height=400), {"width": 4096}, (10, 4096)),
    ],
)
def test_resize(data, inputs, size):
    output = call("image.resize", pictures={"pic": data}, image="pic", **inputs)
    assert opened(output["image"]).size == size == (output["width"], output["height"])


def test_cover_keeps_the_middle():
    striped = Image.new("RGB", (90, 30), "#ff0000")
    striped.paste("#00ff00", (30, 0, 60, 30))
    out = io.BytesIO()
    striped.save(out, "PNG")
    resized = opened(call("image.resize", pictures={"pic": out.getvalue()}, image="pic", width=10, height=10, mode="cover")["image"])
    assert np.asarray(resized).reshape(-1, 3).mean(axis=0).tolist() == pytest.approx([0, 255, 0], abs=30)


@pytest.mark.parametrize(("name", "mime_type"), [("png", "image/png"), ("jpeg", "image/jpeg"), ("webp", "image/webp")])
def test_formats(name, mime_type):
    output = call("image.resize", pictures={"pic": picture(mode="RGBA", colour="#33669980")}, image="pic", width=10, format=name)
    assert output["image"]["mime_type"] == mime_type
    assert opened(output["image"]).format == name.upper()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16", "LA"])
def test_pictures_of_every_kind_are_read(mode):
    file_format = "JPEG" if mode == "CMYK" else "PNG"
    data = picture(mode=mode, file_format=file_format) if mode != "I;16" else _grey16()
    assert opened(call("image.resize", pictures={"pic": data}, image="pic", width=30)["image"]).size == (30, 20)


def _grey16() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((40, 60), 30_000, dtype=np.uint16)).save(out, "PNG")
    return out.getvalue()


def test_pictures_are_turned_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    data = picture(width=60, height=20, file_format="JPEG", exif=exif)
    assert opened(call("image.resize", pictures={"pic": data}, image="pic", width=20)["image"]).size == (20, 60)


def huge_png(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes that claims to be enormous."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (huge_png(30_000, 30_000), "pixels"),
        (huge_png(10_000, 8_000), "at most 40 million"),
        (huge_png(100_000, 100_000), "pixels"),
        (b"", "cannot identify"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "cannot identify"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "cannot identify"),
        (picture()[:60], "readable are PNG"),
        (picture(file_format="JPEG")[:100], "readable are PNG"),
        (b"GIF89a" + b"\xff" * 50, "readable are PNG"),
    ],
)
@pytest.mark.parametrize("slug", ["image.resize", "image.caption"])
def test_what_is_no_picture_is_refused(slug, data, why):
    more = {"width": 10} if slug == "image.resize" else {"text": "x"}
    with pytest.raises(ToolError, match=why) as error:
        call(slug, pictures={"pic": data}, image="pic", **more)
    assert error.value.code == "bad_image"
    assert error.value.permanent


def test_a_strangers_artefact_is_not_found():
    with pytest.raises(ToolError, match="No artefact") as error:
        call("image.resize", image={"artifact": str(uuid7())}, width=10)
    assert error.value.code == "artifact_not_found"


def test_caption_below_makes_the_picture_taller():
    output = call("image.caption", pictures={"pic": picture(width=300, height=200)}, image="pic", text="The lamp")
    captioned = np.asarray(opened(output["image"]).convert("RGB"), dtype=int)
    assert captioned.shape[1] == 300
    assert captioned.shape[0] > 210
    assert (captioned[:200] == [0x33, 0x66, 0x99]).all()
    band = captioned[200:]
    assert 0.003 < (band.sum(axis=2) < 300).mean() < 0.2  # dark letters on light paper


@pytest.mark.parametrize(("position", "half"), [("top", slice(0, 100)), ("bottom", slice(100, 200))])
def test_caption_over_the_picture_keeps_its_size(position, half):
    output = call(
        "image.caption", pictures={"pic": picture(width=300, height=200, colour="#ffffff")}, image="pic", text="The lamp", position=position
    )
    captioned = np.asarray(opened(output["image"]).convert("RGB"), dtype=int)
    assert captioned.shape == (200, 300, 3)
    written = (captioned != 255).any(axis=(1, 2))
    assert written[half].any()
    assert not written[: 50 if position == "bottom" else 0].any()


def test_caption_wraps_and_ends_in_an_ellipsis():
    face = font(12)
    lines = wrapped("word " * 200, face=face, width=100, max_lines=8)
    assert len(lines) == 8
    assert lines[-1].endswith("\u2026")
    assert all(face.getlength(line) <= 100 for line in lines)


@pytest.mark.parametrize("text", ["x" * 1000, "\0\x07\u202e tricky", "語" * 300, "a\r\nb\n\n\nc", " \n ", "\U0001f600"])
def test_caption_survives_any_text(text):
    output = call("image.caption", pictures={"pic": picture(width=20, height=20)}, image="pic", text=text)
    assert opened(output["image"]).width == 20


def test_a_contact_sheet_shows_every_picture():
    colours = ["#ff0000", "#00ff00", "#0000ff", "#ffff00", "#ff00ff"]
    images = {f"p{index}": picture(width=60 + 10 * index, height=40, colour=colour) for index, colour in enumerate(colours)}
    output = call(
        "image.contact_sheet", pictures=images, images=list(images), width=640, captions=["One", None, "Three " * 40], title="Colours"
    )
    assert output["count"] == 5
    page = np.asarray(opened(output["image"]).convert("RGB"))
    assert page.shape[1] == 640
    for colour in colours:
        wanted = [int(colour[place : place + 2], 16) for place in (1, 3, 5)]
        assert (page == wanted).all(axis=2).sum() > 3000


def test_a_contact_sheet_leaves_out_nulls():
    output = call("image.contact_sheet", pictures={"p": WIDE}, images=[None, "p", None], captions=["a", "b"], width=320)
    assert output["count"] == 1
    with pytest.raises(ToolError, match="nothing to show"):
        call("image.contact_sheet", images=[None])


@pytest.mark.parametrize("count", range(1, 14))
def test_a_contact_sheet_has_room_for_any_number(count):
    page = opened(call("image.contact_sheet", pictures={"p": TALL}, images=["p"] * count, width=800)["image"])
    assert page.width == 800
    assert page.height < 4 * 4096


def test_a_contact_sheet_grows_by_what_is_written():
    def height(**more):
        return opened(call("image.contact_sheet", pictures={"p": WIDE}, images=["p"] * 3, width=640, **more)["image"]).height

    bare, titled, captioned = height(), height(title="A title"), height(captions=["a few words " * 10])
    assert bare < titled
    assert bare < captioned < height(captions=["a few words " * 20], title="A title")


def test_a_dark_contact_sheet_is_written_in_light_letters():
    page = opened(call("image.contact_sheet", pictures={"p": WIDE}, images=["p"], width=320, title="Night", background="#101418")["image"])
    top = np.asarray(page.convert("L"))[: page.height // 4]
    assert top.max() > 150
    assert np.median(top) < 40


@pytest.mark.parametrize(
    ("slug", "inputs", "path"),
    [
        ("image.resize", {"image": {"artifact": str(uuid7())}}, "params"),
        ("image.resize", {"image": {"artifact": str(uuid7())}, "width": 5000}, "params.width"),
        ("image.resize", {"image": {"artifact": "x"}, "width": 10}, "params.image.artifact"),
        ("image.resize", {"image": {"artifact": str(uuid7()), "path": "/etc/passwd"}, "width": 10}, "params.image.path"),
        ("image.caption", {"image": {"artifact": str(uuid7())}, "text": "x", "colour": "red"}, "params.colour"),
        ("image.caption", {"image": {"artifact": str(uuid7())}, "text": "x", "size": 0.5}, "params.size"),
        ("image.contact_sheet", {"images": []}, "params.images"),
        ("image.contact_sheet", {"images": [None] * 61}, "params.images"),
    ],
)
def test_schemas_refuse(slug, inputs, path):
    assert problems_with(slug, **inputs) == [path]
