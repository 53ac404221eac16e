"""The Pythons that are forked."""

import ast
import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
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


TELL_SETTINGS = """
import logging, sys
import django
django.setup()
import django_q.cluster, structlog
from django.conf import settings
from django.core.files.storage import storages
from django.core.signing import Signer
from django.db import connection, connections

def told(value):
    return getattr(value, "__qualname__", None) or f"{type(value).__qualname__} {sorted(getattr(value, '__dict__', ()))}"

print(connection.vendor, connections.settings, len(connections.all(initialized_only=True)))
shown = {name: getattr(settings, name) for name in sorted(dir(settings)) if name.isupper()}
print({name: sorted(value) if isinstance(value, frozenset) else value for name, value in shown.items()})
print({name: value for name, value in sorted(vars(django_q.cluster.Conf).items()) if name.isupper()})
print(logging.root.level, [(told(each), each.level, vars(each.formatter).keys()) for each in logging.root.handlers])
print({name: told(value) for name, value in structlog.get_config().items()}, [told(each) for each in structlog.get_config()["processors"]])
print(sys.excepthook.__module__, Signer().signature("it"), storages["artifacts"].location, settings.SETTINGS_MODULE, sys.argv, __name__)
"""


@pytest.mark.parametrize("url", ["sqlite:///{folder}/own.sqlite3", "postgresql://nobody@127.0.0.1:9/nothing"])
def test_one_that_was_prepared_has_the_settings_of_its_own_environment(tmp_path: Path, url: str):
    environment = {
        "DATABASE_URL": url.format(folder=tmp_path),
        "DJANGO_SECRET_KEY": "A key of its own, 9jX-w2Qz_k4LmR8vTtYpBn7cFhGd3sJe1UaWxZiOo",
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "GRIMOIRE_CLUSTER_WORKERS": "7",
        "GRIMOIRE_DATA_DIR": str(tmp_path),
        "GRIMOIRE_ENV_FILE": os.devnull,
        "GRIMOIRE_LOG_FORMAT": "console",
        "GRIMOIRE_LOG_LEVEL": "WARNING",
        "GRIMOIRE_PUBLIC_URL": "http://127.0.0.1:9",
    }
    fresh, prepared = (forked.run("-c", TELL_SETTINGS, environment=environment, folder=HERE, prepared=each) for each in (False, True))
    assert (fresh.returncode, fresh.stderr) == (0, "")
    assert (prepared.returncode, prepared.stderr) == (0, "")
    nowhere = [re.sub(r" at 0x[0-9a-f]+", "", each.stdout).splitlines() for each in (prepared, fresh)]
    assert nowhere[0] == nowhere[1]
    assert "'WORKERS': 7" in prepared.stdout


def test_one_that_was_prepared_tells_what_is_wrong_with_its_settings(tmp_path: Path):
    environment = {"GRIMOIRE_LEASE_SECONDS": "soon", "GRIMOIRE_DATA_DIR": str(tmp_path), "GRIMOIRE_ENV_FILE": os.devnull}
    ended = forked.run("manage.py", "check", environment=environment, folder=HERE, prepared=True)
    assert ended.returncode == 1
    assert 'GRIMOIRE_LEASE_SECONDS" invalid' in ended.stderr


PROGRAM = """
import os, signal, sys
from pathlib import Path
handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
files = sorted(int(each.name) for each in Path("/proc/self/fd").iterdir())
shown = Path("/proc/self/environ").read_bytes().split(b"\\0")
print(sys.argv, os.getcwd(), os.getsid(0) == os.getpid(), handlers, files[:4], b"GRIMOIRE_OWN=yes" in shown, os.environ["GRIMOIRE_OWN"])
print([Path(word).name for word in Path("/proc/self/cmdline").read_text().split("\\0") if word][2:], flush=True)
sys.exit(int(sys.argv[1]) if sys.argv[1] != "words" else "It went wrong.")
"""
SUPERVISOR = f"""
import os, signal, sys
from pathlib import Path
import django
django.setup()
from django.db import connection
from casts.supervisor import Child, Program, StopSignals

os.pipe(), connection.ensure_connection()
with StopSignals():
    for number, last in enumerate(("0", "3", "words")):
        program = Program(
            name=f"program {{number}}",
            command=[sys.executable, "-c", {PROGRAM!r}, last],
            probe=lambda: None,
            silence_seconds=60,
            environment={{"GRIMOIRE_OWN": "yes"}},
        )
        child = Child(program, folder=Path.cwd(), logs=Path(sys.argv[1]), tell=print)
        child.start()
        print(child.process.wait(60), child.last_words(), os.getsid(0) == os.getpid(), flush=True)
"""


def test_what_a_prepared_supervisor_starts_is_what_any_starts(tmp_path: Path):
    ended = []
    for prepared in (False, True):
        logs = tmp_path / str(prepared)
        logs.mkdir()
        environment = {
            "DATABASE_URL": f"sqlite:///{tmp_path}/own.sqlite3",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "GRIMOIRE_DATA_DIR": str(tmp_path),
            "GRIMOIRE_ENV_FILE": os.devnull,
        }
        ended.append(forked.run("-c", SUPERVISOR, str(logs), environment=environment, folder=HERE, prepared=prepared))
    assert (ended[0].returncode, ended[0].stderr) == (0, "")
    assert ended[0].stdout.count("True yes") == 3
    assert "It went wrong." in ended[0].stdout
    assert ended[1] == ended[0]


def read_at_import(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the settings that a module reads when it is imported, those of its classes and decorators among them."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.Attribute) and isinstance(child.value, ast.Name) and child.value.id == "settings":
            yield child.attr
        if isinstance(child, ast.Lambda):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            child.body = []
        yield from read_at_import(child)


def test_no_module_of_ours_keeps_what_it_read_in_the_settings_when_it_was_imported():
    found = set()
    for app in ("config", "casts", "generations", "spells"):
        for path in HERE.joinpath(app).rglob("*.py"):
            names = set(read_at_import(ast.parse(path.read_text()))) - {"AUTH_USER_MODEL"}  # is not read from the environment
            if names:
                found.add(str(path.relative_to(HERE)))
    assert found == {"config/asgi.py"}
