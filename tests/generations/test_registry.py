import subprocess
import sys
import textwrap

import pytest

from generations.tools import registry
from generations.tools.contract import Adapter


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Install a package with adapters: real metadata on the import path."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(entry_points: dict[str, str], *, code: str = "", name: str = "grimoire-gifts"):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code))
        info = tmp_path / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "\n".join(f"{key} = {value}" for key, value in entry_points.items())
        (info / "entry_points.txt").write_text(f"[grimoire.adapters]\n{lines}\n")
        registry.forget()

    yield install
    registry.forget()
    for module in [name for name in sys.modules if name.startswith("grimoire_")]:
        del sys.modules[module]


ECHO = """
    from generations.tools.contract import Adapter, Request, Result

    class Echo(Adapter):
        key = "gift.echo"

        def run(self, request: Request) -> Result:
            return Result(output={"heard": request.inputs["text"]})
"""


@pytest.mark.parametrize("key", registry.BUILT_IN)
def test_built_in_adapters_load(key):
    adapter = registry.get(key)
    assert isinstance(adapter, Adapter)
    assert adapter.key == key
    assert registry.get(key) is adapter


def test_an_unknown_key_is_named_with_those_that_are_known():
    with pytest.raises(registry.AdapterNotFound, match=r"no adapter 'image\.pant'.*image\.paint"):
        registry.get("image.pant")


def test_an_adapter_of_another_package_is_found(offer):
    offer({"gift.echo": "grimoire_gifts:Echo"}, code=ECHO)
    assert "gift.echo" in registry.all_keys()
    assert type(registry.get("gift.echo")).__module__ == "grimoire_gifts"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("grimoire_gifts:Nothing", "AttributeError"),
        ("grimoire_missing:Echo", "ModuleNotFoundError"),
        ("grimoire_gifts:NotAnAdapter", "no subclass of"),
        ("grimoire_gifts:function", "no subclass of"),
        ("grimoire_gifts:Misnamed", "calls itself 'other'"),
        ("grimoire_gifts:Nameless", "calls itself None"),
        ("grimoire_gifts:Explodes", "RuntimeError: boom"),
    ],
)
def test_a_broken_adapter_says_why_and_breaks_nothing_else(offer, value, why):
    code = (
        ECHO
        + """
    class NotAnAdapter: ...

    def function(): ...

    class Misnamed(Echo):
        key = "other"

    class Nameless(Adapter): ...

    class Explodes(Echo):
        key = "gift.broken"

        def __init__(self):
            raise RuntimeError("boom")
    """
    )
    offer({"gift.broken": value, "gift.echo": "grimoire_gifts:Echo"}, code=code)
    with pytest.raises(registry.AdapterBroken, match=why) as error:
        registry.get("gift.broken")
    assert "grimoire-gifts" in str(error.value)
    assert registry.get("gift.echo").key == "gift.echo"
    assert registry.get("text.join").key == "text.join"


def test_a_package_whose_import_fails_breaks_only_itself(offer):
    offer({"gift.echo": "grimoire_gifts:Echo"}, code="raise SystemError('not on this machine')")
    assert "gift.echo" in registry.all_keys()
    with pytest.raises(registry.AdapterBroken, match="not on this machine"):
        registry.get("gift.echo")


def test_nobody_takes_a_built_in_key(offer):
    offer({"text.join": "grimoire_gifts:Echo"}, code=ECHO)
    assert type(registry.get("text.join")).__module__ == "generations.tools.text"


def test_finding_an_adapter_imports_no_more_than_it_needs(tmp_path):
    code = """
        import sys
        import django
        django.setup()
        from generations.tools import registry
        registry.all_keys()
        registry.get("expression")
        heavy = [name for name in ("openai", "numpy", "re2", "jmespath") if name in sys.modules]
        print("imported:", heavy)
    """
    environment = {"DJANGO_SETTINGS_MODULE": "config.settings", "GRIMOIRE_DATA_DIR": str(tmp_path), "PYTHONPATH": "."}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False, env=environment, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "openai" not in done.stdout
    assert "numpy" not in done.stdout
