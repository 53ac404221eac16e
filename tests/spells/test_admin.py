import json
from decimal import Decimal

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from spells.admin import formats
from spells.admin.json_html import MAX_CHARACTERS, json_html, visible
from spells.admin.search import id_range
from spells.documents import from_data, parse, save_draft
from spells.models import Spell, SpellVersion, Visibility
from spells.tool_spells import version_for
from tests.factories import SpellFactory, StepFactory, ToolFactory, UserFactory, published
from tests.operators import messages_of, operator, page, queries_of, superuser

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # pages are the same on each database; what they ask of it is marked

SCRIPT = "<script>alert(1)</script>"


def draft(*steps, slug="a-draft", **more):
    for step in steps:
        ToolFactory.create(slug=step["tool"])
    return save_draft(document=from_data({"slug": slug, "steps": list(steps), **more}), owner=UserFactory.create(), now=timezone.now())


def spell_form(spell, **changes):
    values = {"name": spell.name, "description": "", "owner": str(spell.owner_id), "visibility": "private", "tags": "[]"}
    return {**values, **changes}


def change(client, spell, **changes):
    return client.post(reverse("admin:spells_spell_change", args=[spell.pk]), spell_form(spell, **changes), follow=True)


# Spells


def test_the_owner_visibility_tags_and_words_of_a_spell_can_change():
    spell, heir = SpellFactory.create(), UserFactory.create()
    change(superuser(), spell, owner=str(heir.pk), visibility="public", tags='["story", "picture"]', name="New", description="Words")
    spell.refresh_from_db()
    assert (spell.owner, spell.visibility, spell.tags, spell.name) == (heir, Visibility.PUBLIC, ["story", "picture"], "New")


def test_the_slug_of_a_spell_cannot_change_nor_can_anything_else():
    spell = SpellFactory.create(slug="one")
    other = ToolFactory.create()
    change(superuser(), spell, slug="two", tool=str(other.pk), created_at="2000-01-01")
    spell.refresh_from_db()
    assert spell.slug == "one"
    assert spell.tool is None


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": ""},
        {"owner": "999999"},
        {"owner": "x"},
        {"owner": "9" * 40},
        {"name": ""},
        {"name": "x" * 201},
        {"visibility": "secret"},
        {"tags": ""},
        {"tags": "{}"},
        {"tags": "story, picture"},
        {"tags": '["a", "a"]'},
        {"tags": '["a", 3]'},
        {"tags": '[""]'},
        {"tags": '["a\\u0000"]'},
        {"tags": json.dumps([str(number) for number in range(21)])},
        {"tags": "[" * 100_000},
        {"tags": "NaN"},
        {"tags": '["\\ud800"]'},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_a_spell_takes_nothing_that_a_document_could_not_say(changes):
    spell = SpellFactory.create(name="Before", tags=["old"])
    before = Spell.objects.values().get(pk=spell.pk)
    answer = change(superuser(), spell, **changes)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert Spell.objects.values().get(pk=spell.pk) == before


def test_the_spell_of_a_single_tool_follows_its_tool_and_cannot_change():
    version = version_for(tool=ToolFactory.create(slug="my.tool"), now=timezone.now())
    client = superuser()
    assert "the tool my.tool" in page(client, "spells_spell_changelist", kind="tool")
    assert "my-tool" not in page(client, "spells_spell_changelist", kind="written")
    assert page(client, "spells_spell_change", version.spell.pk)
    assert change(client, version.spell, name="Mine").status_code == 403
    assert page(client, "spells_spellversion_change", version.pk)


def test_spells_are_neither_added_nor_deleted_by_hand():
    spell = SpellFactory.create()
    client = superuser()
    assert client.get(reverse("admin:spells_spell_add")).status_code == 403
    assert client.post(reverse("admin:spells_spell_delete", args=[spell.pk]), {"post": "yes"}).status_code == 403
    assert client.get(reverse("admin:spells_spellversion_add")).status_code == 403


def test_whoever_may_only_look_at_spells_changes_nothing():
    spell = SpellFactory.create(name="Before")
    client = operator("spells.view_spell")
    assert 'name="_save"' not in page(client, "spells_spell_change", spell.pk)
    assert change(client, spell, name="After").status_code == 403
    spell.refresh_from_db()
    assert spell.name == "Before"


def test_the_list_of_spells_tells_what_is_published_and_drafted():
    published(slug="twice")
    version = published(slug="twice")
    draft({"key": "one", "tool": "test.any"}, slug="only-drafted")
    text = page(superuser(), "spells_spell_changelist")
    assert "version 2" in text
    assert "only-drafted" in text
    assert version.number == 2


@pytest.mark.both_databases
def test_spells_are_found_by_slug_name_and_owner():
    SpellFactory.create(slug="lighthouse", name="Of the sea", owner=UserFactory.create(username="ada"))
    client = superuser()
    for word in ("LIGHT", "sea", "ada", "light sea"):
        assert "1 spell<" in page(client, "spells_spell_changelist", q=word).replace("\n", "<")
    assert "0 spells" in page(client, "spells_spell_changelist", q="light land")


@pytest.mark.parametrize("name", ["spell", "spellversion"])
def test_lists_take_as_many_queries_for_many_rows_as_for_one(name):
    client = superuser()
    published()
    few = queries_of(client, f"spells_{name}_changelist")
    for _ in range(20):
        published()
    assert queries_of(client, f"spells_{name}_changelist") == few


@pytest.mark.both_databases
def test_the_page_of_a_spell_lists_its_versions_and_no_end_of_them():
    for _ in range(25):
        version = published(slug="often")
    text = page(superuser(), "spells_spell_change", version.spell.pk)
    assert "version 25" in text
    assert "version 5<" not in text
    assert "?spell=often" in text
    assert "25 versions" in page(superuser(), "spells_spellversion_changelist", spell="often")


# Versions


def test_a_version_shows_its_steps_their_edges_and_its_document():
    version = published(
        slug="chain",
        steps=[
            {"key": "first", "tool": "test.any", "params": {"x": "{{ inputs.theme }}"}},
            {"key": "second", "tool": "test.any", "params": {"y": "{{ steps.first }}"}, "when": "{{ inputs.theme }}", "max_attempts": 7},
        ],
        inputs={"theme": {"type": "string"}},
        outputs={"end": "{{ steps.second }}"},
    )
    text = page(superuser(), "spells_spellversion_change", version.pk)
    assert text.index('id="step-first"') < text.index('id="step-second"')
    assert 'href="#step-first"' in text
    assert "<dd>7</dd>" in text
    assert "slug: chain" in text
    assert "{{ steps.first }}" in text
    assert 'name="_save"' not in text


def test_the_document_on_the_page_can_be_imported_again():
    version = published(slug="round-trip", steps=[{"key": "one", "tool": "test.any", "params": {"text": "a\nb"}}])
    answer = superuser().get(reverse("admin:spells_spellversion_change", args=[version.pk]))
    shown = answer.context["adminform"].model_admin.document_shown(version)
    text = shown.removeprefix('<pre class="document" dir="ltr">').removesuffix("</pre>").replace("&#x27;", "'").replace("&quot;", '"')
    assert parse(text, format="yaml").slug == "round-trip"


def test_a_version_that_no_document_can_say_is_still_shown():
    version = SpellVersion.objects.create(spell=SpellFactory.create(), number=1, input_schema={"type": "array"}, outputs=[1])
    assert "more than a document can" in page(superuser(), "spells_spellversion_change", version.pk)


def test_a_version_with_many_steps_takes_no_more_queries():
    client = superuser()
    small = draft({"key": "one", "tool": "test.any"}, slug="small")
    few = queries_of(client, "spells_spellversion_change", small.pk)
    large = draft(*({"key": f"step_{number}", "tool": f"test.tool{number}"} for number in range(100)), slug="large")
    assert queries_of(client, "spells_spellversion_change", large.pk) <= few + 1


@pytest.mark.both_databases
def test_versions_are_filtered_by_state_and_spell_and_found_by_name_and_number():
    published(slug="one")
    published(slug="one")
    draft({"key": "one", "tool": "test.any"}, slug="two")
    client = superuser()
    for query, count in (
        ({"state": "published"}, 2),
        ({"state": "draft"}, 1),
        ({"spell": "one"}, 2),
        ({"q": "one@2"}, 1),
        ({"q": "o"}, 3),
        ({"q": "o@1"}, 2),
    ):
        answer = client.get(reverse("admin:spells_spellversion_changelist"), query)
        assert answer.context["cl"].result_count == count, query


def test_nothing_of_a_version_is_editable_drafts_included():
    version = draft({"key": "one", "tool": "test.any"})
    answer = superuser().post(reverse("admin:spells_spellversion_change", args=[version.pk]), {"number": "9", "outputs": "{}"})
    assert answer.status_code == 403
    version.refresh_from_db()
    assert version.number == 1


def test_a_draft_is_published_by_its_button():
    version = draft({"key": "one", "tool": "test.any"})
    client = superuser()
    url = reverse("admin:spells_spellversion_publish", args=[version.pk])
    assert url in page(client, "spells_spellversion_change", version.pk)
    assert "can be published" in page(client, "spells_spellversion_change", version.pk)
    answer = client.post(url, follow=True)
    assert "a-draft@1 is published" in messages_of(answer)[0]
    version.refresh_from_db()
    assert version.is_published
    assert LogEntry.objects.get().change_message == "Published."
    assert url not in answer.content.decode()


def test_a_draft_that_is_not_fit_shows_each_problem_with_its_place():
    version = draft({"key": "one", "tool": "test.any", "params": {"x": f"{{{{ steps.nowhere }}}} {SCRIPT}"}})
    client = superuser()
    assert "steps.one.params.x" in page(client, "spells_spellversion_change", version.pk)
    answer = client.post(reverse("admin:spells_spellversion_publish", args=[version.pk]), follow=True)
    told = messages_of(answer)[0]
    assert "a-draft@1 was not published" in told
    assert "steps.one.params.x" in told
    assert SCRIPT not in answer.content.decode()
    version.refresh_from_db()
    assert not version.is_published


def test_the_action_publishes_what_is_fit_and_tells_what_is_not():
    good = draft({"key": "one", "tool": "test.any"}, slug="good")
    bad = draft({"key": "one", "tool": "test.any", "params": {"x": "{{ steps.nowhere }}"}}, slug="bad")
    done = published(slug="done")
    ids = [str(version.pk) for version in (good, bad, done)]
    data = {"action": "publish_selected", "_selected_action": ids}
    told = messages_of(superuser().post(reverse("admin:spells_spellversion_changelist"), data, follow=True))
    assert [message.split(" ")[0] for message in told] == ["good@1", "bad@1", "done@1"]
    assert "published already" in told[2]
    good.refresh_from_db()
    assert good.is_published


def test_the_action_refuses_too_many_at_once(monkeypatch):
    monkeypatch.setattr("spells.admin.version.SpellVersionAdmin.max_published_at_once", 1)
    ids = [str(draft({"key": "one", "tool": "test.any"}, slug=slug).pk) for slug in ("a", "b")]
    data = {"action": "publish_selected", "_selected_action": ids}
    told = messages_of(superuser().post(reverse("admin:spells_spellversion_changelist"), data, follow=True))
    assert "at most 1" in told[0]
    assert not SpellVersion.objects.published().exists()


def test_publishing_needs_the_permission_and_a_post_with_a_token():
    version = draft({"key": "one", "tool": "test.any"})
    url = reverse("admin:spells_spellversion_publish", args=[version.pk])
    viewer = operator("spells.view_spellversion")
    assert viewer.post(url).status_code == 403
    assert url not in page(viewer, "spells_spellversion_change", version.pk)
    assert "publish_selected" not in page(viewer, "spells_spellversion_changelist")
    assert superuser().get(url).status_code == 405
    assert operator("spells.change_spellversion", enforce_csrf_checks=True).post(url).status_code == 403
    gone = reverse("admin:spells_spellversion_publish", args=[999_999])
    assert "is gone" in messages_of(superuser().post(gone, follow=True))[0]
    version.refresh_from_db()
    assert not version.is_published


def test_what_a_spell_says_is_shown_as_text():
    version = published(
        name=SCRIPT,
        description=f"{SCRIPT}\u202e",
        tags=[SCRIPT],
        inputs={"x": {"type": "string", "description": SCRIPT}},
        steps=[{"key": "one", "tool": "test.any", "params": {SCRIPT: SCRIPT, "rtl": "\u202e"}}],
        outputs={"y": SCRIPT},
    )
    StepFactory.create(version=draft({"key": "one", "tool": "test.any"}), params=[SCRIPT], for_each=SCRIPT, when=SCRIPT, position=9)
    client = superuser()
    for pk in SpellVersion.objects.values_list("pk", flat=True):
        assert SCRIPT not in page(client, "spells_spellversion_change", pk)
    assert SCRIPT not in page(client, "spells_spell_change", version.spell.pk)
    assert SCRIPT not in page(client, "spells_spell_changelist")


# How values read


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "\N{EN DASH}"),
        (0, "0.00 s"),
        (0.3219, "0.32 s"),
        (12.34, "12.3 s"),
        (59.99, "60.0 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3725, "1 h 2 min"),
        (360_000, "4 d 4 h"),
        (-5, "-5.00 s"),
    ],
)
def test_durations_read_in_their_two_largest_units(seconds, told):
    assert formats.duration(seconds) == told


@pytest.mark.parametrize(("seconds", "told"), [(-3, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d")])
def test_rough_durations_read_in_their_largest_unit(seconds, told):
    assert formats.rough(seconds) == told


@pytest.mark.parametrize(
    ("usd", "told"),
    [
        (None, "\N{EN DASH}"),
        (Decimal(0), "$0.00"),
        (Decimal("0.5"), "$0.50"),
        (Decimal(12), "$12.00"),
        (Decimal("0.0000000001"), "$0.0000000001"),
        (Decimal("1E+3"), "$1000.00"),
    ],
)
def test_money_reads_exactly(usd, told):
    assert formats.money(usd) == told


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_500_000, "2.5 MB"), (10**12, "1000.0 GB")]
)
def test_sizes_read_in_their_unit(count, told):
    assert formats.size(count) == told


def test_json_is_cut_where_a_page_could_not_bear_it():
    assert len(json_html(["<" * 200] * 100_000)) < 20 * MAX_CHARACTERS
    assert "more" in json_html(list(range(10_000)))
    assert "(cut)" in json_html("x" * 10**6)
    assert len(json_html({str(number): "<" for number in range(10_000)})) < 20 * MAX_CHARACTERS


def test_json_hides_no_character_that_turns_the_order_of_text():
    shown = json_html({"a\u202e": ["b\u2066", "c\u200b" * 500]})
    assert not set("\u202e\u2066\u200b") & set(shown)
    assert visible("a\x00\x1bb\n\tc") == "a\\u0000\\u001bb\n\tc"


def test_json_of_great_depth_is_cut():
    value: object = "bottom"
    for _ in range(200):
        value = [value]
    assert "[…]" in json_html(value)


@pytest.mark.parametrize("word", ["", "abc", "xyzxyz", "0" * 33, "\N{ARABIC-INDIC DIGIT ONE}" * 8, "abcde-", "g" * 8])
def test_what_is_no_beginning_of_an_id_is_none(word):
    assert id_range(word) is None


def test_the_beginning_of_an_id_names_a_range_of_ids():
    first, last = id_range("01A20A86-a5")
    assert str(first) == "01a20a86-a500-0000-0000-000000000000"
    assert str(last) == "01a20a86-a5ff-ffff-ffff-ffffffffffff"
