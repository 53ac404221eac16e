"""The Pythons that are forked."""

import importlib.util
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests import forked
from tests.processes import wait_for

HERE = Path(__file__).parents[1]


@pytest.mark.parametrize("name", forked.LIBRARIES)
def test_what_is_read_before_is_there(name: str):
    """Whatever is not would be passed over in silence."""
    assert importlib.util.find_spec(name)


def test_one_runs_what_python_would_run_and_knows_nothing_of_its_origin(tmp_path: Path):
    code = "import os, sys; print(os.getcwd(), dict(os.environ), sys.argv, 'config' in sys.modules); print('odd', file=sys.stderr); sys.exit(3)"
    ended = forked.run("-c", code, environment={"A": "b"}, folder=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, f"{tmp_path} {{'A': 'b'}} ['-c'] False\n", "odd\n")


def test_one_is_handled_as_a_child(tmp_path: Path):
    code = "import signal; print('ready', flush=True); signal.pause()"
    said = tmp_path / "said"
    said.touch()
    process = forked.start("-c", code, environment=dict(os.environ), folder=HERE, stdout=said)
    wait_for("it runs", said.read_text)
    assert process.poll() is None
    assert os.getsid(process.pid) == process.pid
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == process.returncode == -signal.SIGKILL
    process.send_signal(signal.SIGTERM)  # it is gone, and nobody else is hit
