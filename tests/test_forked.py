"""The Pythons that are forked."""

import importlib.util
import os
import signal
import subprocess
import sys
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


def test_a_program_of_ours_is_not_read_again_by_what_it_forks(tmp_path: Path):
    """As the benchmarks are: settings are read by them."""
    program = "from tests import forked; print(forked.run('-c', 'print(7)', environment={}, folder=forked.Path('/')).stdout, end='')"
    module = tmp_path / "ours.py"
    module.write_text(f"import config\n{program}\n")
    command = [sys.executable, "-m", "ours"]
    paths = os.pathsep.join([str(tmp_path), str(HERE)])
    ended = subprocess.run(
        command, cwd=HERE, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.stderr) == ("7\n", "")
