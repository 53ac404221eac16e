"""aimock, a server that speaks OpenAI's API, written by others: what our adapter says must be what it understands."""

import json
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx2
import pytest

from generations.tools.http_client import certificates

PROGRAM = Path(__file__).parent / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
START_SECONDS = 30


@dataclass
class AIMock:
    """A running server. `url` has no path: add /v1 for OpenAI's API, /api/v1 for OpenRouter's."""

    url: str
    key: str

    def requests(self) -> list[dict[str, Any]]:
        """Return what it was asked, in order: method, path, headers and body."""
        with httpx2.Client(trust_env=False, verify=certificates()) as client:
            journal = client.get(f"{self.url}/__aimock/journal", headers={"Authorization": f"Bearer {self.key}"})
        return list(journal.raise_for_status().json())


@contextmanager
def aimock(fixtures: Sequence[Mapping[str, Any]], *, folder: Path, key: str = "peer-key") -> Iterator[AIMock]:
    """Serve fixtures (what to answer to which message) on a free port, to whoever has the key.

    Skips the test where Node or the package is missing.
    """
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: aimock cannot run")
    if not PROGRAM.exists():
        pytest.skip("aimock is not installed: run `npm ci --prefix tests/peers`")
    file = folder / "fixtures.json"
    file.write_text(json.dumps({"fixtures": list(fixtures)}))
    command = [node, str(PROGRAM), "--host", "127.0.0.1", "--port", "0", "--fixtures", str(file), "--validate-on-load"]
    environment = {"PATH": os.environ["PATH"], "AIMOCK_API_KEYS": key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        assert process.stdout is not None
        said: queue.Queue[str] = queue.Queue()
        reader = threading.Thread(target=_pass_on, args=(process.stdout, said), daemon=True)
        reader.start()
        try:
            yield AIMock(url=_address(said), key=key)
        finally:
            process.terminate()
            process.wait(timeout=10)
            reader.join()


def _pass_on(lines: IO[str], said: "queue.Queue[str]") -> None:
    for line in lines:
        said.put(line)
    said.put("")


def _address(said: "queue.Queue[str]") -> str:
    """Wait until the server says where it listens."""
    heard: list[str] = []
    while True:
        try:
            heard.append(said.get(timeout=START_SECONDS))
        except queue.Empty:
            raise AssertionError(f"aimock did not start: {''.join(heard)}") from None
        assert heard[-1], f"aimock ended: {''.join(heard)}"
        if found := re.search(r"listening on (http://[\d.]+:\d+)", heard[-1]):
            return found[1]
