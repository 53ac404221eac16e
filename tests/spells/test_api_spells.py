"""Spells, versions and tools over the API."""

import json

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from spells.documents import dump, from_data, save_draft
from spells.models import Spell, SpellVersion, Step, Tool
from tests.api import assert_problem, client_of, get, patch, people, post, put, raw
from tests.factories import SpellFactory, ToolFactory, UserFactory, published

pytestmark = pytest.mark.django_db

STEP = {"key": "only", "tool": "test.any"}
DOCUMENT = {"slug": "story", "name": "Story", "tags": ["tale", "night"], "steps": [STEP], "inputs": {"theme": {"type": "string"}}}
BROKEN = {**DOCUMENT, "steps": [{**STEP, "params": {"text": "{{ inputs.thme }}"}}]}


@pytest.fixture(autouse=True)
def tool():
    return ToolFactory.create(slug="test.any")


def draft(owner, **more):
    return save_draft(document=from_data({**DOCUMENT, **more}), owner=owner, now=timezone.now())


def names(response, key="slug"):
    assert response.status_code == 200, response.content
    return [each[key] for each in response.json()["results"]]


def test_a_document_becomes_a_spell_with_a_draft():
    ada = UserFactory.create()
    response = post(client_of(ada), "/spells/", DOCUMENT)
    assert response.status_code == 201
    told = response.json()
    assert (told["slug"], told["name"], told["tags"], told["visibility"]) == ("story", "Story", ["tale", "night"], "private")
    assert (told["owner"], told["latest_version"], told["draft_version"], told["input_schema"]) == (ada.username, None, 1, None)
    assert told["versions"] == "https://testserver/api/v1/spells/story/versions/"
    assert Step.objects.get().key == "only"


def test_yaml_is_read_like_json():
    ada = UserFactory.create()
    text = dump(from_data(DOCUMENT), format="yaml")
    assert raw(client_of(ada), "/spells/", text.encode(), "application/yaml").status_code == 201
    assert Step.objects.get().key == "only"


def test_a_spell_goes_from_draft_to_published_to_the_next_draft():
    ada = UserFactory.create()
    client = client_of(ada)
    post(client, "/spells/", DOCUMENT)
    version = post(client, "/spells/story/publish/")
    assert version.status_code == 200
    assert version.json()["published_at"]
    assert version.json()["document"]["steps"] == [STEP]
    changed = {"steps": [{**STEP, "key": "first"}]}
    following = post(client, "/spells/story/versions/", changed)
    assert (following.status_code, following.json()["number"], following.json()["published_at"]) == (201, 2, None)
    told = get(client, "/spells/story/").json()
    assert (told["latest_version"], told["draft_version"], told["tags"]) == (1, 2, ["tale", "night"])
    assert told["input_schema"]["properties"] == {"theme": {"type": "string"}}
    again = put(client, "/spells/story/versions/2/", {"steps": [{**STEP, "key": "again"}], "name": "Another"})
    assert (again.status_code, again.json()["document"]["name"]) == (200, "Another")
    assert [step["key"] for step in get(client, "/spells/story/versions/2/").json()["document"]["steps"]] == ["again"]
    assert names(get(client, "/spells/story/versions/"), "number") == [2, 1]
    assert post(client, "/spells/story/publish/").json()["number"] == 2


def test_a_document_is_given_back_as_it_was():
    ada = UserFactory.create()
    client = client_of(ada)
    document = {
        **DOCUMENT,
        "description": "A story.",
        "visibility": "listed",
        "steps": [{**STEP, "params": {"n": [1, 2.5, None, {"a": "{{ inputs.theme }}"}]}, "when": "{{ inputs.theme }}", "max_attempts": 2}],
        "outputs": {"all": "{{ steps.only }}"},
    }
    post(client, "/spells/", document)
    assert get(client, "/spells/story/versions/1/").json()["document"] == document


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({**DOCUMENT, "slug": "No"}, "slug"),
        ({**DOCUMENT, "slug": "validate"}, "slug"),
        ({name: value for name, value in DOCUMENT.items() if name != "slug"}, "slug"),
        ({**DOCUMENT, "colour": "red"}, "colour"),
        ({**DOCUMENT, "visibility": "secret"}, "visibility"),
        ({**DOCUMENT, "steps": [{"key": "only", "tool": "no.such"}]}, "steps.only.tool"),
        ({**DOCUMENT, "steps": [{**STEP, "retries": 3}]}, "steps.only.retries"),
        ({**DOCUMENT, "steps": [STEP, STEP]}, "steps.only"),
        ({**DOCUMENT, "tags": "tale"}, "tags"),
        ([], ""),
        ("text", ""),
    ],
)
def test_a_document_that_cannot_be_kept_is_refused_and_nothing_is_written(document, path):
    assert_problem(post(client_of(UserFactory.create()), "/spells/", document), 422, path)
    assert not Spell.objects.exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"slug: [", "is no YAML"),
        (b"a: &x 1\nb: *x", "anchors"),
        (b"\xff", "not UTF-8"),
        (b"", "slug"),
        (b"x" * 300_000, "larger"),
        (b"a: !!python/object:os.x {}", "tags"),
    ],
)
def test_yaml_that_is_none_is_refused(body, words):
    response = raw(client_of(UserFactory.create()), "/spells/", body, "application/yaml")
    assert words in json.dumps(assert_problem(response, 422))


def test_a_slug_is_taken_once():
    ada = UserFactory.create()
    draft(ada)
    for user in (ada, UserFactory.create()):
        assert_problem(post(client_of(user), "/spells/", DOCUMENT), 409, "slug", name="slug-taken")
    assert SpellVersion.objects.count() == 1


def test_a_draft_that_is_not_fit_is_not_published():
    ada = UserFactory.create()
    client = client_of(ada)
    assert post(client, "/spells/", BROKEN).status_code == 201
    told = assert_problem(post(client, "/spells/story/publish/"), 422, "steps.only.params.text")
    assert "did you mean 'theme'?" in told["detail"]
    assert SpellVersion.objects.get().published_at is None


def test_without_a_draft_nothing_is_published():
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    assert_problem(post(client_of(ada), "/spells/story/publish/"), 409, name="no-draft")


def test_a_published_version_is_not_written_again():
    ada = UserFactory.create()
    published(slug="story", owner=ada)
    draft(ada)
    assert_problem(put(client_of(ada), "/spells/story/versions/1/", {"steps": [STEP]}), 409, name="no-draft")
    assert_problem(put(client_of(ada), "/spells/story/versions/9/", {"steps": [STEP]}), 404)


def test_a_version_is_of_its_spell():
    ada = UserFactory.create()
    draft(ada)
    assert_problem(post(client_of(ada), "/spells/story/versions/", {"slug": "other", "steps": []}), 422, "slug")


@pytest.mark.parametrize(
    ("document", "valid"),
    [
        (DOCUMENT, True),
        (BROKEN, False),
        ({}, False),
        ([], False),
        ("text", False),
        (None, False),
        ({**DOCUMENT, "steps": []}, False),
        ({**DOCUMENT, "steps": [{"key": "only", "tool": "no.such"}]}, False),
    ],
)
def test_a_document_is_checked_without_being_kept(document, valid):
    response = (
        post(client_of(UserFactory.create()), "/spells/validate/", document)
        if document is not None
        else raw(client_of(UserFactory.create()), "/spells/validate/", b"null")
    )
    assert response.status_code == 200
    told = response.json()
    assert told["valid"] is valid
    assert bool(told["errors"]) is not valid
    assert all(error.keys() == {"path", "message"} for error in told["errors"])
    assert not Spell.objects.exists()


def test_yaml_is_checked_and_its_errors_have_lines():
    client = client_of(UserFactory.create())
    assert raw(client, "/spells/validate/", dump(from_data(DOCUMENT), format="yaml").encode(), "application/yaml").json()["valid"] is True
    (error,) = raw(client, "/spells/validate/", b"slug: story\nsteps: [", "application/yaml").json()["errors"]
    assert error["path"].startswith("line ")


def test_what_a_spell_says_of_itself_is_changed():
    ada = UserFactory.create()
    draft(ada)
    client = client_of(ada)
    before = Spell.objects.get().updated_at
    assert patch(client, "/spells/story/", {"visibility": "public"}).json()["visibility"] == "public"
    said = {"name": "New", "description": "d", "tags": [], "visibility": "listed"}
    assert put(client, "/spells/story/", said).json().items() >= said.items()
    assert Spell.objects.get().updated_at > before


@pytest.mark.parametrize(
    ("send", "body", "path"),
    [
        (patch, {"visibility": "x"}, "visibility"),
        (patch, {"slug": "other"}, "slug"),
        (patch, {"owner": "eve"}, "owner"),
        (patch, {"tags": [1]}, "tags[0]"),
        (patch, {"name": ""}, "name"),
        (put, {"name": "New", "description": "", "tags": []}, "visibility"),
    ],
)
def test_what_it_cannot_say_is_refused(send, body, path):
    ada = UserFactory.create()
    draft(ada)
    before = Spell.objects.values().get()
    assert_problem(send(client_of(ada), "/spells/story/", body), 422, path)
    assert Spell.objects.values().get() == before


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize("visibility", ["private", "listed", "public"])
@pytest.mark.parametrize("path", ["", "versions/", "versions/1/"])
def test_who_may_read_a_spell(who, visibility, path):
    asking = people()
    published(slug="story", owner=asking["owner"], visibility=visibility)
    may = who in ("owner", "staff") or visibility == "public" or (who == "stranger" and visibility == "listed")
    response = get(client_of(asking[who]), f"/spells/story/{path}")
    if may:
        assert response.status_code == 200
    else:
        assert_problem(response, 404)
    assert names(get(client_of(asking[who]), "/spells/")) == (["story"] if may else [])


CHANGES = [
    (put, "/spells/story/", {"name": "New", "description": "", "tags": [], "visibility": "public"}),
    (patch, "/spells/story/", {"name": "New"}),
    (post, "/spells/story/versions/", {"steps": []}),
    (put, "/spells/story/versions/1/", {"steps": []}),
    (post, "/spells/story/publish/", None),
]


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize("visibility", ["private", "public"])
@pytest.mark.parametrize(("send", "path", "body"), CHANGES)
def test_who_may_change_a_spell(who, visibility, send, path, body):
    asking = people()
    draft(asking["owner"], visibility=visibility)
    before = (Spell.objects.values().get(), SpellVersion.objects.values().get(), Step.objects.count())
    response = send(client_of(asking[who]), path, body)
    if who in ("owner", "staff"):
        assert response.status_code in (200, 201), response.content
        assert Spell.objects.get().owner == asking["owner"]
    else:
        hidden = visibility == "private"
        assert_problem(response, 401 if who == "anonymous" else 404 if hidden else 403)
        assert (Spell.objects.values().get(), SpellVersion.objects.values().get(), Step.objects.count()) == before


def test_drafts_are_for_those_who_may_change_them():
    asking = people()
    draft(asking["owner"], visibility="public")
    for who, may in (("anonymous", False), ("stranger", False), ("owner", True), ("staff", True)):
        client = client_of(asking[who])
        assert names(get(client, "/spells/story/versions/"), "number") == ([1] if may else [])
        assert get(client, "/spells/story/versions/1/").status_code == (200 if may else 404)
        assert get(client, "/spells/story/").json()["draft_version"] == (1 if may else None)


def test_nobody_writes_or_checks_without_a_key():
    for path in ("/spells/", "/spells/validate/"):
        assert_problem(post(client_of(), path, DOCUMENT), 401)
    assert not Spell.objects.exists()


def test_the_spell_of_a_tool_is_read_and_not_listed_and_never_changed():
    staff = UserFactory.create(is_staff=True)
    post(client_of(UserFactory.create()), "/tools/test.any/run/", {})
    client = client_of(staff)
    assert names(get(client, "/spells/")) == []
    told = get(client, "/spells/tool-test-any/").json()
    assert (told["owner"], told["latest_version"]) == (None, 1)
    assert_problem(patch(client, "/spells/tool-test-any/", {"name": "x"}), 403)
    assert_problem(post(client, "/spells/tool-test-any/publish/"), 403)


def test_spells_are_found_by_words_tag_visibility_and_owner():
    ada = UserFactory.create(username="ada")
    SpellFactory.create(slug="night-tale", owner=ada, tags=["tale", "nächtlich"], visibility="public")
    SpellFactory.create(slug="other", name="A Tale", description="of cats", tags=["tales", 'a"tale"b'], owner=ada)
    client = client_of(ada)
    for query, found in (
        ({}, ["night-tale", "other"]),
        ({"search": "TALE"}, ["night-tale", "other"]),
        ({"search": "cats"}, ["other"]),
        ({"tag": "tale"}, ["night-tale"]),
        ({"tag": "nächtlich"}, ["night-tale"]),
        ({"tag": 'a"tale"b'}, ["other"]),
        ({"tag": "%"}, []),
        ({"visibility": "public"}, ["night-tale"]),
        ({"owner": "ada", "search": "cats"}, ["other"]),
        ({"owner": "eve"}, []),
    ):
        assert names(get(client, "/spells/", query)) == found, query


@pytest.mark.parametrize(
    ("query", "path"),
    [({"tag": "\x00"}, "tag"), ({"visibility": "x"}, "visibility"), ({"tags": "a"}, "tags"), ({"search": "x" * 201}, "search")],
)
def test_a_wrong_filter_of_spells_is_refused(query, path):
    assert_problem(get(client_of(), "/spells/", query), 400, path)


@pytest.mark.parametrize("path", ["/spells/", "/spells/busy/versions/", "/tools/"])
def test_lists_cost_the_same_number_of_queries_however_long(path):
    ada = UserFactory.create()
    client = client_of(ada)
    published(slug="busy", owner=ada)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert get(client, path).status_code == 200
        return len(captured)

    first = queries()
    for number in range(19):
        published(slug=f"spell-{number}", owner=UserFactory.create(), visibility="public")
        published(slug="busy")
        ToolFactory.create(slug=f"tool.n{number}")
    assert queries() == first
    assert first <= 5


def test_tools_are_told_without_their_configuration():
    ToolFactory.create(slug="openai.chat", config={"api_key_env": "OPENAI_API_KEY"}, category="text", effects="billed", enabled=False)
    client = client_of(UserFactory.create())
    told = get(client, "/tools/openai.chat/").json()
    assert told.keys() >= {"slug", "name", "description", "category", "effects", "input_schema", "output_schema", "enabled"}
    assert "OPENAI" not in json.dumps(told)
    assert "adapter" not in told
    for query, found in (
        ({}, ["openai.chat", "test.any"]),
        ({"enabled": "true"}, ["test.any"]),
        ({"enabled": "false"}, ["openai.chat"]),
        ({"effects": "billed"}, ["openai.chat"]),
        ({"category": "text"}, ["openai.chat"]),
        ({"search": "chat"}, ["openai.chat"]),
    ):
        assert names(get(client, "/tools/", query)) == found, query


@pytest.mark.parametrize("query", [{"enabled": "maybe"}, {"effects": "x"}])
def test_a_wrong_filter_of_tools_is_refused(query):
    assert_problem(get(client_of(UserFactory.create()), "/tools/", query), 400, *query)


@pytest.mark.parametrize("who", ["anonymous", "stranger", "owner", "staff"])
@pytest.mark.parametrize("path", ["/tools/", "/tools/test.any/"])
def test_who_may_read_tools(who, path):
    response = get(client_of(people()[who]), path)
    assert response.status_code == (401 if who == "anonymous" else 200)


@pytest.mark.parametrize(
    "path",
    [
        "/spells/Nope/",
        "/spells/no%00/",
        "/spells/no%0A/",
        "/spells/a--b/",
        "/spells/missing/",
        "/spells/story/versions/0/",
        "/spells/story/versions/7/",
        "/spells/story/versions/-1/",
        f"/spells/story/versions/{10**30}/",
        f"/spells/story/versions/{'9' * 5000}/",
        "/spells/story/versions/one/",
        "/tools/missing/",
        "/tools/No/",
        "/tools/a..b/",
        "/tools/a%00/",
    ],
)
def test_what_is_not_there_is_not_found(path):
    ada = UserFactory.create()
    draft(ada)
    assert_problem(get(client_of(ada), path), 404)
    assert Tool.objects.count() == 1
