"""The rules and the dashboard that we ship: whole, explained, and taken by those who read them."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from .shipped import DASHBOARD, RULES, panels, rules

TESTS = Path(__file__).parent / "alerts_test.yml"


def test_rules_that_name_a_recorded_ratio_name_one_that_is_recorded():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = {name for rule in rules() for name in re.findall(r"grimoire:\w+:\w+", rule["expr"]) if "alert" in rule}
    assert named == recorded


def test_each_alert_says_how_bad_it_is_and_what_to_do():
    alerts = [rule for rule in rules() if "alert" in rule]
    assert len({rule["alert"] for rule in alerts}) == len(alerts)
    told = (Path(django_settings.BASE_DIR) / "docs" / "monitoring.md").read_text()
    for rule in alerts:
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}
        assert f"`{rule['alert']}`" in told, f"docs/monitoring.md tells nothing of {rule['alert']}"


def test_the_dashboard_is_one_that_grafana_takes():
    dashboard = json.loads(DASHBOARD.read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    places: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & places, f"{panel['title']} lies on another"
        places |= cells
    assert {variable["name"] for variable in dashboard["templating"]["list"]} == {"datasource", "tool"}
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels())


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian: apt-get install prometheus)")
@pytest.mark.parametrize("words", [("check", "rules", str(RULES)), ("test", "rules", "alerts_test.yml")], ids=["check", "test"])
def test_promtool_takes_the_rules_and_they_fire_when_they_should(words: tuple[str, ...], tmp_path: Path):
    for file in (RULES, TESTS):
        shutil.copy(file, tmp_path)
    ended = subprocess.run(["promtool", *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
