"""A real server of Gradio, which others wrote: what our adapter says must be what it understands."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

from generations.tools.http_client import certificates

APP = Path(__file__).parent / "gradio_app.py"
START_SECONDS = 100
# Another interpreter that has gradio, for where it should not be beside ours.
INTERPRETER = "GRADIO_PYTHON"


@contextmanager
def gradio_server(folder: Path) -> Iterator[str]:
    """Run the app and yield its address. Skips the test where gradio is not installed."""
    interpreter = os.environ.get(INTERPRETER) or (sys.executable if find_spec("gradio") else "")
    if not interpreter:
        pytest.skip(f"gradio is not installed: run `uv sync --extra peers`, or name an interpreter that has it in {INTERPRETER}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    log = folder / "gradio.log"
    with log.open("w") as out, subprocess.Popen([interpreter, str(APP), str(port)], stdout=out, stderr=out, env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    ends_at = time.monotonic() + START_SECONDS
    # One client for all tries: to make one, certificates are read, which takes as long as the pause between two.
    with httpx2.Client(trust_env=False, timeout=5, verify=certificates()) as client:
        while process.poll() is None and time.monotonic() < ends_at:
            try:
                client.get(f"{url}/gradio_api/info").raise_for_status()
            except httpx2.HTTPError:
                time.sleep(0.1)
                continue
            return
    raise AssertionError(f"gradio did not start: {log.read_text()}")
