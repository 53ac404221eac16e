"""Files that the fake provider made or was given: real bytes, at addresses that expire."""

import hashlib
import io
import math
import random
import re
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from generations.tools.painting.composition import paint

MAX_UPLOADED_BYTES = 512 * 2**20
MAX_CACHED_BYTES = 64 * 2**20
MAX_FILES = 200_000
MAX_ENLARGED_SIDE = 2048
_SIZE = re.compile(r"^(\d{1,5})x(\d{1,5})$")
_NAMED_SIZES = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A picture that is painted when somebody comes for it."""

    prompt: str
    seed: int
    width: int
    height: int
    painted: bool

    @property
    def key(self) -> str:
        return hashlib.sha256(repr(self).encode(errors="replace")).hexdigest()

    def png(self) -> bytes:
        if self.painted:
            return paint(prompt_text=self.prompt, seed=self.seed, width=self.width, height=self.height).png
        return _plain(self)


def _plain(recipe: Recipe) -> bytes:
    """Return a quick picture: a slope of two colours with a few discs, and the prompt on it."""
    draw = random.Random(f"{recipe.seed}\n{recipe.prompt}")  # noqa: S311 - a picture
    colours = [tuple(draw.randrange(256) for _ in range(3)) for _ in range(5)]
    slope = Image.linear_gradient("L").resize((recipe.width, recipe.height))
    upper, lower = (Image.new("RGB", slope.size, colour) for colour in colours[:2])
    picture = Image.composite(upper, lower, slope)
    brush = ImageDraw.Draw(picture)
    side = min(slope.size)
    for colour in colours[2:]:
        x, y, r = draw.randrange(recipe.width), draw.randrange(recipe.height), draw.uniform(0.05, 0.25) * side
        brush.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    words = recipe.prompt.encode("ascii", "replace").decode()[:60]
    brush.text((4, 4), words, fill="white")
    return encoded(picture)


def encoded(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    return out.getvalue()


@dataclass(frozen=True, slots=True, kw_only=True)
class Enlargement:
    """A picture that was given, and is enlarged when somebody comes for it."""

    data: bytes
    scale: float

    @property
    def key(self) -> str:
        return f"{hashlib.sha256(self.data).hexdigest()} {self.scale}"

    def png(self) -> bytes:
        return enlarged(self.data, scale=self.scale, max_side=MAX_ENLARGED_SIDE)


def read(data: bytes) -> Image.Image:
    """Return a picture, read to its end. Raises ValueError when it is none."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"The input image cannot be read: {error}") from error


def enlarged(data: bytes, *, scale: float, max_side: int) -> bytes:
    """Return a picture enlarged, at most to a side. Raises ValueError when it is none."""
    picture = read(data)
    scale = min(scale, max(1.0, max_side / max(picture.size)))
    return encoded(picture.resize((math.ceil(picture.width * scale), math.ceil(picture.height * scale)), Image.Resampling.LANCZOS))


def size_of(wanted: object, *, otherwise: tuple[int, int]) -> tuple[int, int]:
    """Read `1024x768`, `{"width", "height"}` or one of fal's names."""
    if isinstance(wanted, str):
        if wanted in _NAMED_SIZES:
            return _NAMED_SIZES[wanted]
        if found := _SIZE.match(wanted):
            return int(found[1]), int(found[2])
    if isinstance(wanted, dict):
        return whole(wanted.get("width"), otherwise[0]), whole(wanted.get("height"), otherwise[1])
    return otherwise


def shaped(ratio: object, *, side: int) -> tuple[int, int]:
    """Return width and height of a ratio like `3:2`, the longer of them `side`; a square when it is none."""
    found = re.match(r"^([1-9]\d?):([1-9]\d?)$", ratio) if isinstance(ratio, str) else None
    if not found:
        return side, side
    across, down = int(found[1]), int(found[2])
    return round(side * min(1, across / down)), round(side * min(1, down / across))


def whole(value: object, otherwise: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else otherwise


def plain_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name)[:100] or "file"


def path_of(token: str, name: str) -> str:
    return f"/files/{token}/{plain_name(name)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    content: Recipe | Enlargement | bytes

    @property
    def weight(self) -> int:
        """Return how many bytes it holds that somebody sent."""
        given = self.content.data if isinstance(self.content, Enlargement) else self.content
        return len(given) if isinstance(given, bytes) else 0

    mime_type: str
    expires_at: float


class Shelf:
    """Files by token. Recipes weigh next to nothing; what was uploaded is bounded, the oldest go first."""

    def __init__(
        self,
        *,
        seconds: float,
        max_side: int,
        promised: Callable[[str, Recipe], None] = lambda _token, _recipe: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how long files are kept, the longest side of a picture, and whom to tell of pictures that were promised."""
        self._promised = promised
        self._seconds = seconds
        self._max_side = max_side
        self._clock = clock
        self._files: OrderedDict[str, _File] = OrderedDict()
        self._uploaded = 0
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._cached = 0
        self._cache_lock = threading.Lock()

    def put_picture(self, *, prompt: str, seed: int, size: tuple[int, int], painted: bool) -> str:
        """Promise a picture, and return the path of its address."""
        scale = min(1.0, self._max_side / max(1, *size))
        width, height = (max(1, min(self._max_side, round(each * scale))) for each in size)
        recipe = Recipe(prompt=prompt[:2000], seed=seed, width=width, height=height, painted=painted)
        token = secrets.token_urlsafe(16)
        self._promised(token, recipe)
        return self.put(token, recipe)

    def put(self, token: str, recipe: Recipe) -> str:
        """Keep a picture that was promised under a token, and return the path of its address."""
        return self._put(recipe, "image/png", "out.png", token=token)

    def put_enlarged(self, data: bytes, *, scale: float) -> str:
        """Promise a picture that was given, enlarged, and return the path of its address. Raises ValueError when it is none."""
        read(data)
        return self._put(Enlargement(data=data, scale=scale), "image/png", "enlarged.png")

    def put_bytes(self, data: bytes, *, mime_type: str, name: str, token: str = "") -> str:
        """Keep bytes, under a token that was chosen before if there is one, and return the path of their address."""
        return self._put(data, mime_type, plain_name(name), token=token)

    def _put(self, content: Recipe | Enlargement | bytes, mime_type: str, name: str, *, token: str = "") -> str:
        token = token or secrets.token_urlsafe(16)
        self._drop(token)  # a second upload to one address is newer than what lies there
        self._files[token] = file = _File(content=content, mime_type=mime_type, expires_at=self._clock() + self._seconds)
        self._uploaded += file.weight
        while self._files and (self._is_full or next(iter(self._files.values())).expires_at <= self._clock()):
            self._drop(next(iter(self._files)))
        return path_of(token, name)

    @property
    def _is_full(self) -> bool:
        return len(self._files) > MAX_FILES or (self._uploaded > MAX_UPLOADED_BYTES and len(self._files) > 1)

    def _drop(self, token: str) -> None:
        if (file := self._files.pop(token, None)) is not None:
            self._uploaded -= file.weight

    def get(self, token: str) -> tuple[bytes, str] | None:
        """Return bytes and MIME type. None: there is no such file, or none any more. Blocks while a picture is painted."""
        file = self._files.get(token)
        if file is None or file.expires_at <= self._clock():
            return None
        if isinstance(file.content, bytes):
            return file.content, file.mime_type
        return self.made(file.content), file.mime_type

    def made(self, recipe: Recipe | Enlargement) -> bytes:
        """Return a picture, painted once and remembered for a while."""
        key = recipe.key
        if (kept := self._cache.get(key)) is not None:
            return kept
        made = recipe.png()
        with self._cache_lock:  # pictures are painted in threads
            if key not in self._cache:
                self._cache[key] = made
                self._cached += len(made)
            while self._cached > MAX_CACHED_BYTES and len(self._cache) > 1:
                self._cached -= len(self._cache.popitem(last=False)[1])
        return made

    def by_url(self, url: str) -> bytes | None:
        """Return the bytes of a file of ours by its address, or None."""
        found = re.search(r"/files/([A-Za-z0-9_-]+)/", url)
        kept = self.get(found[1]) if found else None
        return kept[0] if kept else None
