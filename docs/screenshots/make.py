"""Make the pictures of the README and the docs from a demonstration that really runs.

    uv run --extra screenshots docs/screenshots/make.py

It starts `manage.py demo` in a temporary folder, casts some more through the API, signs in to the admin with a headless
Chromium and writes `docs/images/admin-timeline.png`, `admin-casts.png`, `admin-index.png`, `admin-pieces.png` and
`contact-sheet.png`.
The Chromium of the system is used if there is one (Debian: `apt-get install chromium`), else that of
`playwright install chromium`; `--browser` names another. Nothing is left behind but the pictures.
"""

import argparse
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "docs" / "images"
WIDTH = 1280
SHEET_WIDTH = 900
PATIENCE_SECONDS = 180.0

STORIES = (("a city of glass", 3), ("a garden on the moon", 11), ("a fox in the snow", 5))
PIECES = 20
CARDS = (("harbour", "winter"), ("orchard", "spring"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A demonstration that is being served: its address, the page of its cast, the password of its superuser."""

    url: str
    cast: str
    password: str
    environment: dict[str, str]


@contextmanager
def demonstration() -> Iterator[Demo]:
    """Serve a demonstration of its own, untouched by the settings around it, and end it with all that it started."""
    with tempfile.TemporaryDirectory(prefix="grimoire-screenshots-") as folder:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "GRIMOIRE_", "DATABASE_"))}
        environment |= {"GRIMOIRE_DATA_DIR": folder, "GRIMOIRE_ENV_FILE": os.devnull, "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        command = [sys.executable, "manage.py", "demo", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            told = read_until(process, r"sign in as +admin with the password (\S+)")
            cast = re.search(r"the cast +(http\S+)", told)
            password = re.search(r"with the password (\S+)", told)
            if cast is None or password is None:
                raise SystemExit(f"The demonstration did not start:\n{told}")
            url = f"http://127.0.0.1:{port}"
            yield Demo(url=url, cast=cast[1], password=password[1], environment=environment | {"GRIMOIRE_PUBLIC_URL": url})
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(PATIENCE_SECONDS)


def read_until(process: "subprocess.Popen[str]", pattern: str) -> str:
    """Return what a program has printed, once it printed what is waited for, or ended."""
    told = ""
    assert process.stdout is not None
    for line in process.stdout:
        print(line, end="", flush=True)
        told += line
        if re.search(pattern, line):
            break
    return told


class Api:
    """A client of the demonstration's REST API."""

    def __init__(self, demo: Demo) -> None:
        """Make a key for the superuser, as an operator would."""
        command = [sys.executable, "manage.py", "create_api_key", "admin"]
        told = subprocess.run(command, cwd=ROOT, env=demo.environment, check=True, capture_output=True, text=True).stdout
        self._key = told.strip().splitlines()[-1]
        self._url = f"{demo.url}/api/v1"

    def read(self, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        with urlopen(Request(f"{self._url}{path}", data=data, headers=headers), timeout=60) as answer:  # noqa: S310 - our own server
            content: bytes = answer.read()
        return content

    def call(self, path: str, body: Any = None) -> Any:
        return json.loads(self.read(path, body))

    def wait_until_all_have_ended(self) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while any(cast["status"] in ("queued", "running", "waiting") for cast in self.call("/casts/")["results"]):
            if time.monotonic() > end:
                raise SystemExit("The casts did not end in time.")
            time.sleep(0.5)


def cast_some_more(api: Api) -> None:
    """Let the list show what lists show: casts that succeeded, failed, were cancelled and paused."""
    for theme, seed in STORIES:
        api.call("/casts/", {"spell": "illustrated-story", "inputs": {"theme": theme, "seed": seed}})
    for place, season in CARDS:
        api.call("/casts/", {"spell": "haiku-card", "inputs": {"place": place, "season": season}})
    api.call("/tools/file.fetch/run/", {"inputs": {"url": "http://127.0.0.1:9/not-allowed"}})
    api.wait_until_all_have_ended()
    for verb in ("cancel", "pause"):
        cast = api.call("/casts/", {"spell": "illustrated-story", "inputs": {"theme": "a train at night", "count": 8}})
        api.call(f"/casts/{cast['id']}/{verb}/", {})
    api.wait_until_all_have_ended()


def cook_lanterns(api: Api, demo: Demo) -> int:
    """Cook some pieces of the example that comes with Grimoire, and return the id of the cook once it has finished."""
    command = [sys.executable, "manage.py", "cook", "begin", "lanterns.yaml", "--pieces", str(PIECES)]
    told = subprocess.run(command, cwd=ROOT, env=demo.environment, check=True, capture_output=True, text=True).stdout
    cook = int(told.strip().splitlines()[-1])
    end = time.monotonic() + PATIENCE_SECONDS
    while (status := api.call(f"/cooks/{cook}/")["status"]) != "finished":
        if status != "running" or time.monotonic() > end:
            raise SystemExit(f"The cook is {status}.")
        time.sleep(0.5)
    return cook


def sign_in(browser: Browser, demo: Demo) -> Page:
    page = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
    page.goto(f"{demo.url}/admin/")
    page.fill("input[name=username]", "admin")
    page.fill("input[name=password]", demo.password)
    page.click("input[type=submit]")
    page.evaluate("localStorage.setItem('django.admin.navSidebarIsOpen', 'false')")
    return page


def shoot(page: Page, address: str, name: str, *, last: str) -> None:
    """Picture a page from its top to the end of one of its elements, once its images have come."""
    page.goto(address)
    page.evaluate("for (const image of document.images) image.loading = 'eager'")
    page.wait_for_function("[...document.images].every((image) => image.complete)")
    box = page.locator(last).first.bounding_box()
    if box is None:
        raise SystemExit(f"{address} has no {last}.")
    clip: Any = {"x": 0, "y": 0, "width": WIDTH, "height": box["y"] + box["height"] + 24}
    save(Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))), name)


def save(picture: Image.Image, name: str) -> None:
    """Write a picture with a palette of its own, which a page of a repository loads faster."""
    IMAGES.mkdir(exist_ok=True)
    few = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.FLOYDSTEINBERG)
    few.save(IMAGES / name, optimize=True)
    print(f"docs/images/{name}: {(IMAGES / name).stat().st_size // 1000} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the pictures of the README and the docs from a demonstration that really runs.")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="The Chromium to use.")
    browser_path = parser.parse_args().browser
    with demonstration() as demo:
        api = Api(demo)
        cast = api.call(f"/casts/{demo.cast.rstrip('/').split('/')[-2]}/")
        if cast["status"] != "succeeded":
            raise SystemExit(f"The demonstration's cast {cast['status']}: {cast['error']}")
        sheet = Image.open(io.BytesIO(api.read(f"/artifacts/{cast['outputs']['sheet']['artifact']}/")))
        sheet.thumbnail((SHEET_WIDTH, SHEET_WIDTH * 4))
        save(sheet, "contact-sheet.png")
        cast_some_more(api)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox", "--disable-gpu"])
            page = sign_in(browser, demo)
            shoot(page, demo.cast, "admin-timeline.png", last=".timeline")
            shoot(page, f"{demo.url}/admin/casts/cast/", "admin-casts.png", last="#changelist-form")
            shoot(page, f"{demo.url}/admin/", "admin-index.png", last="#content-main")
            shoot(
                page,
                f"{demo.url}/admin/casts/piece/?cook={cook_lanterns(api, demo)}",
                "admin-pieces.png",
                last=".gallery .card:nth-child(15)",
            )
            browser.close()


if __name__ == "__main__":
    main()
