import json

import pytest
from django.urls import reverse

from generations.admin.pictures import artifact_url, picture_of
from generations.artifacts import store
from generations.catalogue import sync_tools
from generations.models import GenerationStatus
from generations.tools import registry
from spells.models import Tool
from tests.casts.factories import ArtifactFactory, CallbackFactory, CancellationFactory, GenerationFactory
from tests.factories import StepFactory, ToolFactory, UserFactory
from tests.operators import AdminClient, browser_of, operator, page, queries_of, superuser

pytestmark = [pytest.mark.django_db, pytest.mark.sqlite]  # pages are the same on each database; what they ask of it is marked

OLD = "01890a5d-ac96-774b-bcce-b302099a8057"


def listed(name, **query):
    answer = superuser().get(reverse(f"admin:generations_{name}_changelist"), query)
    assert answer.status_code == 200
    return {str(row.pk) for row in answer.context["cl"].result_list}


# Generations


@pytest.mark.both_databases
def test_generations_are_filtered_by_status_tool_and_age():
    one = GenerationFactory.create(status=GenerationStatus.UNKNOWN, step__tool=ToolFactory.create(slug="my.tool"))
    old = GenerationFactory.create(id=OLD, status=GenerationStatus.SUCCEEDED)
    assert listed("generation", status__exact="unknown") == {str(one.pk)}
    assert listed("generation", tool="my.tool") == {str(one.pk)}
    assert listed("generation", tool="my.") == set()
    assert listed("generation", since="day") == {str(one.pk)}
    assert listed("generation") == {str(one.pk), str(old.pk)}


@pytest.mark.both_databases
def test_generations_are_found_by_their_ids_those_of_their_casts_and_of_their_jobs():
    row = GenerationFactory.create(id=OLD, job_id="job-7/x", cast__id="01890a5d-0000-774b-bcce-b302099a8057")
    kept = GenerationFactory.create(owed_key="01890a5d-aaaa-774b-bcce-b302099a8057")
    for word in (OLD, OLD[:13], str(row.cast_id), "job-7/x", OLD.replace("-", "").upper()):
        assert listed("generation", q=word) == {OLD}, word
    assert listed("generation", q=str(kept.owed_key)) == {str(kept.pk)}
    assert listed("generation", q="job-7") == set()
    assert listed("generation", cast=str(row.cast_id)) == {OLD}


@pytest.mark.both_databases
def test_all_attempts_under_one_idempotency_key_are_found_by_it():
    lost = GenerationFactory.create(status=GenerationStatus.FAILED)
    again = GenerationFactory.create(cast=lost.cast, step=lost.step, attempt=2, owed_key=lost.pk)
    GenerationFactory.create(cast=lost.cast, step=lost.step, item=1)
    assert listed("generation", q=str(again.idempotency_key)) == {str(lost.pk), str(again.pk)}


@pytest.mark.parametrize("name", ["generation", "artifact", "callback", "cancellation"])
def test_lists_take_as_many_queries_for_fifty_rows_as_for_one(name):
    client = superuser()

    def add(count):
        for _ in range(count):
            generation = GenerationFactory.create(status=GenerationStatus.SUCCEEDED)
            ArtifactFactory.create(generation=generation)
            CallbackFactory.create(generation=generation)
            CancellationFactory.create(generation=generation)

    add(1)
    few = queries_of(client, f"generations_{name}_changelist")
    add(49)
    assert queries_of(client, f"generations_{name}_changelist") == few


def test_the_page_of_a_generation_shows_all_there_is_to_know_and_no_button():
    row = GenerationFactory.create(
        status=GenerationStatus.SUCCEEDED,
        inputs={"prompt": "a harbour"},
        output={"image": {"artifact": OLD, "mime_type": "image/png", "size": 5}},
        cost_usd="0.0123",
        cost_basis={"per": "call"},
        job_id="job-7",
    )
    picture = ArtifactFactory.create(generation=row, mime_type="image/png")
    text = page(superuser(), "generations_generation_change", row.pk)
    for told in ("a harbour", "$0.0123", "per", "job-7", f"/api/v1/artifacts/{OLD}/", f"/api/v1/artifacts/{picture.pk}/"):
        assert told in text
    assert 'name="_save"' not in text
    assert reverse("admin:casts_cast_change", args=[row.cast_id]) in text


def test_the_page_of_a_generation_takes_as_many_queries_for_many_artefacts_as_for_one():
    client = superuser()
    row = GenerationFactory.create(status=GenerationStatus.SUCCEEDED)
    ArtifactFactory.create(generation=row)
    few = queries_of(client, "generations_generation_change", row.pk)
    for _ in range(80):
        ArtifactFactory.create(generation=row)
    assert queries_of(client, "generations_generation_change", row.pk) == few


# Artefacts


def test_the_gallery_shows_pictures_and_names_what_is_none():
    picture = ArtifactFactory.create(mime_type="image/webp")
    page_of_text = ArtifactFactory.create(mime_type="text/html", name="index.html")
    text = page(superuser(), "generations_artifact_changelist")
    assert f'<img src="/api/v1/artifacts/{picture.pk}/"' in text
    assert f'src="/api/v1/artifacts/{page_of_text.pk}/"' not in text
    assert "index.html" in text
    assert "2 artefacts" in text


@pytest.mark.both_databases
def test_artefacts_are_filtered_by_kind_and_owner_and_found_by_hash_id_and_name():
    row = ArtifactFactory.create(mime_type="image/png", sha256="ab" * 32, name="cover.png", owner=UserFactory.create(username="ada"))
    ArtifactFactory.create(mime_type="imagery/png")
    assert listed("artifact", kind="image") == {str(row.pk)}
    assert listed("artifact", kind="image/png") == {str(row.pk)}
    assert listed("artifact", owner="ada") == {str(row.pk)}
    for word in ("abab", "AB" * 32, str(row.pk), "cover.png"):
        assert listed("artifact", q=word) == {str(row.pk)}, word


def test_a_gallery_without_pictures_says_so():
    assert "No artefacts match" in page(superuser(), "generations_artifact_changelist")


@pytest.mark.parametrize(
    "reference",
    [
        {},
        {"artifact": OLD},
        {"artifact": OLD, "mime_type": "image/svg+xml"},
        {"artifact": OLD, "mime_type": ["image/png"]},
        {"artifact": "../../admin/logout", "mime_type": "image/png"},
        {"artifact": None, "mime_type": "image/png"},
        {"artifact": {"x": 1}, "mime_type": "image/png"},
    ],
    ids=str,
)
def test_only_a_reference_to_a_picture_becomes_an_image(reference):
    assert picture_of(reference) is None


@pytest.mark.parametrize("size", [None, -1, "5", 10**400, True, 1.5])
def test_a_reference_with_a_wrong_size_still_becomes_an_image(size):
    drawn = picture_of({"artifact": OLD, "mime_type": "image/png", "size": size})
    assert drawn is not None
    assert f"/api/v1/artifacts/{OLD}/" in drawn[0]


def test_an_operator_sees_pictures_of_others_through_the_address_that_checks():
    stored = store(b"the bytes of a picture", mime_type="image/png")
    picture = ArtifactFactory.create(mime_type="image/png", sha256=stored.sha256, size=stored.size)
    url = artifact_url(picture.pk)
    colleague = operator("generations.view_artifact")
    assert f'src="{url}"' in page(colleague, "generations_artifact_change", picture.pk)
    answer = colleague.get(url)
    assert answer.status_code == 200
    assert answer.getvalue() == b"the bytes of a picture"
    assert browser_of(UserFactory.create()).get(url).status_code == 404
    assert AdminClient().get(url).status_code == 401


# Callbacks


def test_callbacks_show_their_payload_and_link_to_their_generation():
    row = CallbackFactory.create(payload={"status": "<b>done</b>"})
    orphan = CallbackFactory.create(generation=None, outcome="orphaned")
    client = superuser()
    text = page(client, "generations_callback_change", row.pk)
    assert "&lt;b&gt;done" in text
    assert reverse("admin:generations_generation_change", args=[row.generation_id]) in text
    assert "none of ours" in page(client, "generations_callback_change", orphan.pk)
    assert listed("callback", q=row.delivery_id) == {str(row.pk)}
    assert listed("callback", outcome__exact="orphaned") == {str(orphan.pk)}
    assert listed("callback", generation=str(row.generation_id)) == {str(row.pk)}


# Tools


def form_of(tool, **changes):
    """Return what the page of a tool would post, with some of it changed."""
    values = {
        "enabled": "on",
        "config": json.dumps(tool.config),
        "pricing": json.dumps(tool.pricing),
        "max_in_flight": "",
        "max_per_minute": "",
        "max_attempts": tool.max_attempts,
        "backoff_seconds": tool.backoff_seconds,
        "max_backoff_seconds": tool.max_backoff_seconds,
        "run_timeout_seconds": tool.run_timeout_seconds,
        "deadline_seconds": tool.deadline_seconds,
    }
    return {name: value for name, value in {**values, **changes}.items() if value is not None}


def change(client, tool, **changes):
    return client.post(reverse("admin:spells_tool_change", args=[tool.pk]), form_of(tool, **changes), follow=True)


@pytest.fixture
def chat():
    sync_tools()
    return Tool.objects.get(slug="openai.chat")


def test_an_operator_sets_policy_limits_prices_and_whether_a_tool_is_enabled(chat):
    changes = {"max_in_flight": "4", "max_attempts": "5", "backoff_seconds": "0.5", "pricing": '{"input_tokens": "0.000001"}'}
    answer = change(superuser(), chat, enabled=None, **changes)
    assert "errorlist" not in answer.content.decode()
    chat.refresh_from_db()
    assert (chat.enabled, chat.max_in_flight, chat.max_attempts, chat.backoff_seconds) == (False, 4, 5, 0.5)
    assert chat.pricing == {"input_tokens": "0.000001"}
    assert chat.price_table == 2


def test_the_page_of_a_tool_shows_what_it_cost_before(chat):
    client = superuser()
    for amount in ("0.125", "0.375"):
        change(client, chat, pricing=json.dumps({"per_call": amount}))
        chat.refresh_from_db()
    text = page(client, "spells_tool_change", chat.pk)
    assert chat.price_table == 3
    assert text.rindex("0.375") < text.rindex("0.125")


def test_what_code_declares_of_a_tool_cannot_change(chat):
    before = Tool.objects.values("slug", "name", "description", "adapter", "effects", "recovery", "input_schema", "output_schema").get(
        pk=chat.pk
    )
    change(superuser(), chat, slug="x", name="x", description="x", adapter="text.join", effects="pure", input_schema="{}")
    assert Tool.objects.values(*before).get(pk=chat.pk) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"config": ""},
        {"config": "[]"},
        {"config": "no json"},
        {"config": '{"nonsense": 1}'},
        {"config": '{"api_key": "sk-in-plain-text"}'},
        {"config": "[" * 50_000},
        {"config": "NaN"},
        {"config": '{"a": "\\u0000"}'},
        {"pricing": ""},
        {"pricing": "[]"},
        {"pricing": '{"per_call": 0.1}'},
        {"pricing": '{"per_call": "much"}'},
        {"pricing": '{"per_call": "-1"}'},
        {"pricing": '{"per_call": "NaN"}'},
        {"max_attempts": "0"},
        {"max_attempts": "99999999999"},
        {"max_attempts": "101"},
        {"deadline_seconds": str(2**40)},
        {"run_timeout_seconds": "0"},
        {"deadline_seconds": "0"},
        {"max_in_flight": "-1"},
        {"backoff_seconds": "-1"},
        {"backoff_seconds": "nan"},
        {"backoff_seconds": "10", "max_backoff_seconds": "1"},
        {"max_backoff_seconds": "inf"},
    ],
    ids=str,
)
def test_a_tool_takes_no_settings_that_its_adapter_or_the_database_would_refuse(chat, changes):
    before = Tool.objects.values().get(pk=chat.pk)
    answer = change(superuser(), chat, **changes)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert Tool.objects.values().get(pk=chat.pk) == before


def test_a_tool_whose_adapter_is_gone_can_be_switched_off_but_not_set():
    tool = ToolFactory.create(slug="gone.tool", adapter="gone.adapter")
    client = superuser()
    assert "There is no adapter" in page(client, "spells_tool_change", tool.pk)
    change(client, tool, name=tool.name, enabled=None)
    tool.refresh_from_db()
    assert not tool.enabled
    answer = change(client, tool, name=tool.name, config='{"x": 1}')
    assert "cannot be checked" in answer.content.decode()


def test_a_tool_that_a_step_calls_cannot_be_deleted():
    used, free = StepFactory.create().tool, ToolFactory.create()
    client = superuser()
    for tool, status in ((used, 403), (free, 302)):
        answer = client.post(reverse("admin:spells_tool_delete", args=[tool.pk]), {"post": "yes"})
        assert answer.status_code == status
    assert list(Tool.objects.all()) == [used]


def test_an_operator_adds_a_tool_for_another_endpoint(chat):
    client = superuser()
    data = form_of(chat, slug="house.chat", adapter="openai.chat", name="Chat in house", description="", category="text")
    client.post(reverse("admin:spells_tool_add"), data)
    tool = Tool.objects.get(slug="house.chat")
    definition = registry.get("openai.chat").definitions[0]
    assert (tool.adapter, tool.effects, tool.recovery) == ("openai.chat", definition.effects, definition.recovery)
    assert tool.input_schema == chat.input_schema
    assert tool.output_schema == chat.output_schema
    change(client, tool, name="Renamed", description="", category="", effects="pure", adapter="text.join")
    tool.refresh_from_db()
    assert (tool.name, tool.adapter, tool.effects) == ("Renamed", "openai.chat", definition.effects)
    sync_tools()
    tool.refresh_from_db()
    assert tool.enabled


@pytest.mark.parametrize(
    "changes",
    [
        {"slug": "text.join"},
        {"slug": "Not A Slug"},
        {"slug": ""},
        {"adapter": "nobody"},
        {"adapter": ""},
        {"name": ""},
        {"slug": "openai.chat"},
    ],
    ids=str,
)
def test_a_tool_that_could_not_work_is_not_added(chat, changes):
    before = Tool.objects.count()
    values = {"slug": "house.chat", "adapter": "openai.chat", "name": "Chat", "description": "", "category": "", **changes}
    answer = superuser().post(reverse("admin:spells_tool_add"), form_of(chat, **values))
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert Tool.objects.count() == before


def test_whoever_may_only_look_at_tools_changes_nothing(chat):
    client = operator("spells.view_tool")
    assert 'name="_save"' not in page(client, "spells_tool_change", chat.pk)
    assert change(client, chat, enabled=None).status_code == 403
    assert client.get(reverse("admin:spells_tool_add")).status_code == 403


def test_what_follows_from_the_settings_of_a_tool_follows_them(chat):
    client = superuser()
    replicate = Tool.objects.get(slug="replicate")
    posted = json.dumps({"model": "house/painter"})
    client.post(reverse("admin:spells_tool_add"), form_of(replicate, slug="house.painter", adapter="replicate", name="P", config=posted))
    tool = Tool.objects.get(slug="house.painter")
    assert tool.recovery == "none"
    change(client, tool, name="P", config=json.dumps({"submit": "put", "base_url": "http://127.0.0.1:5000"}))
    tool.refresh_from_db()
    assert tool.recovery == "resend"
    change(client, replicate, config=json.dumps({"submit": "put"}))
    assert [each.outcome for each in sync_tools() if each.slug == "replicate"] == ["unchanged"]
    replicate.refresh_from_db()
    assert replicate.recovery == "resend"


def test_settings_that_contradict_each_other_are_refused_with_their_place(chat):
    replicate = Tool.objects.get(slug="replicate")
    answer = change(superuser(), replicate, config=json.dumps({"model": "house/painter", "submit": "put"}))
    assert "config.model: is not for a cog server" in answer.content.decode()
    replicate.refresh_from_db()
    assert "submit" not in replicate.config


def test_the_list_of_tools_takes_as_many_queries_for_many_as_for_one(chat):
    client = superuser()
    few = queries_of(client, "spells_tool_changelist")
    for _ in range(30):
        ToolFactory.create()
    assert queries_of(client, "spells_tool_changelist") == few
    assert "openai.chat" in page(client, "spells_tool_changelist", q="openai")


def test_a_cancellation_shows_what_the_provider_said_here_and_with_its_generation():
    row = CancellationFactory.create(outcome="refused", said="It is too late for that.")
    client = superuser()
    assert "It is too late for that." in page(client, "generations_cancellation_change", row.pk)
    assert "the provider would not" in page(client, "generations_generation_change", row.generation_id)
    assert listed("cancellation", outcome__exact="refused") == {str(row.pk)}
    assert listed("cancellation", q=str(row.generation_id)) == {str(row.pk)}
