"""cog, Replicate's own model server, with a small model of ours."""

import os
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest

from generations.tools.http_client import certificates
from tests.processes import wait_for

MODEL = """
import time
from pathlib import Path as File

from cog import BasePredictor, Input, Path


class Predictor(BasePredictor):
    def predict(self, text: str = Input(default="lamp"), seconds: float = Input(default=0.0), file: Path = Input(default=None)) -> str:
        for step in range(1, 5):
            print(f"{25 * step}%|####| {step}/4", flush=True)
            time.sleep(seconds / 4)
        if text == "fail":
            raise ValueError("The lamp is out.")
        if text == "picture":
            return "data:image/gif;base64,R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs="
        if file is not None:
            return f"{text} {len(File(file).read_bytes())}"
        return text
"""


@contextmanager
def cog_server(folder: Path) -> Iterator[str]:
    """Serve the model on a free port of this machine, and return the address. Skips the test where cog is not installed."""
    if find_spec("cog") is None or find_spec("coglet") is None:
        pytest.skip("cog is not installed: uv sync --extra peers")
    (folder / "predict.py").write_text(MODEL)
    (folder / "cog.yaml").write_text('build:\n  python_version: "3.11"\npredict: "predict.py:Predictor"\n')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # Its worker is started as `python`, whichever comes first.
    path = f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "PORT": str(port), "COG_PREDICT_TYPE_STUB": "predict.py:Predictor", "HOME": str(folder)}
    command = [sys.executable, "-m", "cog.server.http", "--host", "127.0.0.1"]
    log = folder / "cog.log"
    with log.open("wb") as said, subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for("cog is ready", lambda: _is_ready(url, process, log), seconds=60)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=30)


def _is_ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(httpx2.get(f"{url}/health-check", trust_env=False, verify=certificates()).json()["status"] == "READY")
    except httpx2.TransportError:
        return False
