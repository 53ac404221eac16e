import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import RequestFactory
from django.urls import reverse
from django_q.models import Failure, OrmQ, Schedule
from django_q.tasks import async_task
from knox.auth import hash_token
from knox.models import AuthToken

from casts.clock import database_now
from casts.models import CastStatus
from generations.models import GenerationStatus
from tests.casts.factories import CastFactory, ConductorProcessFactory, GenerationFactory, WakeupFactory
from tests.factories import UserFactory
from tests.operators import AdminClient, browser_of, operator, page, queries_of, superuser

pytestmark = pytest.mark.django_db

admin.autodiscover()
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
LISTS = [f"{model._meta.app_label}_{model._meta.model_name}_changelist" for model in MODELS]
RECORDS = [model for model in MODELS if model._meta.app_label in ("casts", "generations")]
GARBAGE = [
    "\0",
    "a\0b",
    "not-a-uuid",
    "01a20a86",
    "deadbeefdeadbeef",
    "0" * 33,
    "x" * 60_000,
    "%_\\",
    "'; DROP TABLE casts_cast; --",
    "\u202e\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    "slug@99999999999999999999",
    "@",
    " ".join("abcdef0" for _ in range(500)),
]


@pytest.mark.parametrize("name", LISTS)
def test_lists_open_for_superusers_and_for_whoever_may_view_them_and_for_nobody_else(name):
    app, model, _ = name.split("_") if name.count("_") == 2 else ("django_q", name.split("_")[2], "")
    assert page(superuser(), name)
    assert page(operator(f"{app}.view_{model}"), name)
    assert operator().get(reverse(f"admin:{name}")).status_code == 403
    assert browser_of(UserFactory.create()).get(reverse(f"admin:{name}")).status_code == 302
    assert AdminClient().get(reverse(f"admin:{name}")).status_code == 302


@pytest.mark.parametrize("name", LISTS)
def test_searching_any_list_for_garbage_breaks_nothing(name):
    client = superuser()
    for garbage in GARBAGE:
        answer = client.get(reverse(f"admin:{name}"), {"q": garbage}, follow=True)
        assert answer.status_code == 200, garbage[:50]


WRONG_QUERIES: list[dict[str, str]] = [
    {"o": "99.-1.x"},
    {"p": "-7"},
    {"p": "x"},
    {"_facets": "True"},
    {"all": ""},
    {"status": "\0"},
    {"status": "nonsense", "stuck": "nonsense", "since": "nonsense", "kind": "nonsense", "state": "nonsense"},
    {"tool": "x" * 5000, "spell": "x@" + "9" * 50, "initiator": "%", "owner": "\u202e"},
]


@pytest.mark.parametrize("name", LISTS)
def test_wrong_filters_and_pages_break_no_list(name):
    client = superuser()
    for query in WRONG_QUERIES:
        answer = client.get(reverse(f"admin:{name}"), query, follow=True)
        assert answer.status_code in (200, 400), query


@pytest.mark.parametrize("lookup", ["initiator__password__startswith", "inputs__secret", "id__regex", "version__spell__owner__email"])
def test_a_list_takes_no_filter_that_it_does_not_offer(lookup):
    assert superuser().get(reverse("admin:casts_cast_changelist"), {lookup: "x"}).status_code == 400


@pytest.mark.parametrize("name", ["generations_generation_changelist", "casts_wakeup_changelist", "generations_artifact_changelist"])
@pytest.mark.parametrize("value", ["x", "9" * 40, "01a20a86-a5d4-7369-abb0-157da6e5c2a3"])
def test_links_into_a_list_by_a_wrong_id_are_answered(name, value):
    field = "generation" if "artifact" in name else "cast"
    answer = superuser().get(reverse(f"admin:{name}"), {field: value}, follow=True)
    assert answer.status_code == 200


@pytest.mark.parametrize("value", ["x", "-1", "9" * 40])
def test_links_by_a_wrong_number_are_answered(value):
    assert superuser().get(reverse("admin:generations_generation_changelist"), {"step": value}, follow=True).status_code == 200


def test_the_search_for_a_user_to_choose_takes_anything():
    client = superuser()
    for term in GARBAGE:
        query = {"app_label": "knox", "model_name": "authtoken", "field_name": "user", "term": term}
        assert client.get(reverse("admin:autocomplete"), query).status_code == 200, term[:50]


@pytest.mark.parametrize("model", RECORDS, ids=lambda model: model._meta.label)
def test_no_field_of_casts_and_generations_can_be_edited_and_no_row_added_or_deleted(model):
    request = RequestFactory().get("/")
    request.user = UserFactory.create(is_staff=True, is_superuser=True)
    pages = admin.site.get_model_admin(model)
    form = pages.get_form(request, model(), change=True)
    assert list(form.base_fields) == []
    assert not pages.has_add_permission(request)
    assert not pages.has_change_permission(request)
    assert not pages.has_delete_permission(request)
    assert not getattr(pages, "list_editable", ())
    assert pages.get_inline_instances(request) == []
    assert "delete_selected" not in pages.get_actions(request)


def test_of_spells_only_what_breaks_nothing_can_be_edited():
    request = RequestFactory().get("/")
    request.user = UserFactory.create(is_staff=True, is_superuser=True)
    editable = {
        model._meta.model_name: set(admin.site.get_model_admin(model).get_form(request, model(), change=True).base_fields)
        for model in MODELS
        if model._meta.app_label == "spells"
    }
    policy = {"max_attempts", "backoff_seconds", "max_backoff_seconds", "retry_lost_jobs", "run_timeout_seconds", "deadline_seconds"}
    limits = {"max_in_flight", "max_per_minute"}
    assert editable == {
        "spell": {"name", "description", "owner", "visibility", "tags"},
        "spellversion": set(),
        "tool": {"name", "description", "category", "enabled", "config", "pricing", "provider", *policy, *limits},
        "provider": {"slug", "name", "enabled", "failures_to_open", "first_wait_seconds", "max_wait_seconds", *limits},
    }


# The first page


def test_the_first_page_tells_how_casts_stand_and_links_to_them():
    now = database_now()
    CastFactory.create(status=CastStatus.QUEUED)
    WakeupFactory.create(cast__status=CastStatus.RUNNING, due_at=now)
    GenerationFactory.create(status=GenerationStatus.RUNNING, cast=WakeupFactory.create(cast__status=CastStatus.RUNNING, due_at=now).cast)
    CastFactory.create(status=CastStatus.FAILED)
    GenerationFactory.create(status=GenerationStatus.UNKNOWN, cast__status=CastStatus.FAILED)
    ConductorProcessFactory.create(host="worker-9", alive_until=now.replace(year=now.year + 1))
    ConductorProcessFactory.create(host="dead-1")
    answer = superuser().get(reverse("admin:index"))
    told = answer.context["overview"]
    assert {tile.title: tile.count for tile in told.live} == {"queued": 1, "running": 1, "waiting": 1, "paused": 0}
    assert {tile.title: tile.count for tile in told.ended} == {"succeeded": 0, "failed": 2, "cancelled": 0}
    assert [tile.count for tile in told.worries] == [1, 0, 0, 1]
    text = answer.content.decode()
    assert "worker-9" in text
    assert "dead-1" not in text
    assert "/admin/casts/cast/?status=waiting" in text
    assert "/admin/casts/cast/?stuck=stranded" in text
    assert "/admin/generations/generation/?status__exact=unknown" in text
    for tile in (*told.live, *told.ended, *told.worries):
        assert superuser().get(tile.url).status_code == 200
        assert superuser().get(tile.url).context["cl"].result_count == tile.count


def test_the_first_page_says_so_when_all_is_well_and_when_nobody_conducts():
    text = page(superuser(), "index")
    assert "no cast is stuck" in text
    assert "None is alive" in text


def test_the_first_page_takes_as_many_queries_for_many_casts_as_for_one():
    client = superuser()
    WakeupFactory.create(cast__status=CastStatus.RUNNING)
    few = queries_of(client, "index")
    for _ in range(30):
        WakeupFactory.create(cast__status=CastStatus.RUNNING)
        CastFactory.create(status=CastStatus.FAILED)
    assert queries_of(client, "index") == few


def test_the_first_page_hides_casts_from_whoever_may_not_see_them():
    answer = operator("spells.view_spell").get(reverse("admin:index"))
    assert answer.context["overview"] is None
    assert "Needs somebody" not in answer.content.decode()


def test_pages_bear_our_name_and_styles_and_load_nothing_from_elsewhere():
    text = page(superuser(), "casts_cast_changelist")
    assert "<title>Casts | Grimoire</title>" in text
    assert "grimoire/admin.css" in text
    assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("://", "")


# API keys


def make_key(client, **values):
    return client.post(reverse("admin:knox_authtoken_add"), {"lifetime": "30", **values})


def test_an_api_key_is_shown_once_and_kept_as_a_hash():
    client, user = superuser(), UserFactory.create(username="ada")
    answer = make_key(client, user=str(user.pk))
    key = answer.context["key"]
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert key in answer.content.decode()
    row = AuthToken.objects.get()
    assert row.digest == hash_token(key)
    assert row.user == user
    assert row.expiry is not None
    for name, args in (("knox_authtoken_changelist", ()), ("knox_authtoken_change", (row.pk,)), ("index", ())):
        assert key not in page(client, name, *args)
    assert not any(key in str(session.get_decoded()) for session in Session.objects.all())
    assert not any(key in entry.change_message + entry.object_repr for entry in LogEntry.objects.all())
    assert LogEntry.objects.count() == 1


def test_an_api_key_made_in_the_admin_lets_its_user_in():
    user = UserFactory.create()
    key = make_key(superuser(), user=str(user.pk), lifetime="").context["key"]
    answer = AdminClient(headers={"Authorization": f"Bearer {key}"}).get("/api/v1/casts/")
    assert answer.status_code == 200
    assert AuthToken.objects.get().expiry is None


@pytest.mark.parametrize("values", [{}, {"user": "0"}, {"user": "x"}, {"lifetime": "99999"}])
def test_a_wrong_form_makes_no_api_key(values):
    answer = make_key(superuser(), **values)
    assert answer.status_code == 200
    assert "errorlist" in answer.content.decode()
    assert not AuthToken.objects.exists()


def test_nobody_gets_more_rights_by_a_key_for_somebody_else():
    clerk = operator("knox.add_authtoken", "auth.view_user")
    for name, allowed in (("plain", True), ("staff", False), ("super", False)):
        user = UserFactory.create(username=name, is_staff=name != "plain", is_superuser=name == "super")
        make_key(clerk, user=str(user.pk))
        assert AuthToken.objects.filter(user=user).exists() == allowed
    make_key(clerk, user=str(clerk.user.pk))
    assert AuthToken.objects.filter(user=clerk.user).exists()


def test_an_inactive_user_gets_no_key():
    make_key(superuser(), user=str(UserFactory.create(is_active=False).pk))
    assert not AuthToken.objects.exists()


def test_an_api_key_is_revoked_by_deleting_it_and_cannot_be_changed():
    row, _ = AuthToken.objects.create(UserFactory.create())
    client = superuser()
    assert client.post(reverse("admin:knox_authtoken_change", args=[row.pk]), {"user": "1"}).status_code == 403
    client.post(reverse("admin:knox_authtoken_delete", args=[row.pk]), {"post": "yes"})
    assert not AuthToken.objects.exists()


def test_making_keys_needs_the_permission():
    assert make_key(operator("knox.view_authtoken"), user=str(UserFactory.create().pk)).status_code == 403
    assert not AuthToken.objects.exists()


# The queue


def test_the_queue_is_closed_to_everybody():
    schedule = Schedule.objects.first() or Schedule.objects.create(func="casts.tasks.reap", name="one")
    queued = OrmQ.objects.create(key="grimoire", payload="rubbish")
    client = superuser()
    for row in (schedule, queued):
        name = f"django_q_{row._meta.model_name}"
        change = reverse(f"admin:{name}_change", args=[row.pk])
        assert client.get(change).status_code == 200
        assert client.post(change, {"func": "os.system", "args": "(", "key": "x"}).status_code == 403
        assert client.post(reverse(f"admin:{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
        assert client.get(reverse(f"admin:{name}_add")).status_code == 403
        row.refresh_from_db()
    assert schedule.func != "os.system"


def test_a_queued_task_shows_its_function_and_an_unreadable_one_says_so():
    OrmQ.objects.all().delete()
    async_task("casts.tasks.reap")
    OrmQ.objects.create(key="grimoire", payload="rubbish")
    text = page(superuser(), "django_q_ormq_changelist")
    assert "casts.tasks.reap" in text
    assert "unreadable" in text


def test_failed_tasks_show_what_they_raised():
    now = database_now()
    Failure.objects.create(id="f1", name="bad", func="casts.tasks.reap", started=now, stopped=now, success=False, result="<b>boom</b>")
    assert "bad" in page(superuser(), "django_q_failure_changelist")
    assert "&lt;b&gt;boom&lt;/b&gt;" in page(superuser(), "django_q_failure_change", "f1")


def test_counts_stop_where_they_would_tell_nobody_anything(monkeypatch):
    monkeypatch.setattr("spells.admin.records.MAX_COUNT", 3)
    for _ in range(5):
        CastFactory.create()
    text = page(superuser(), "casts_cast_changelist")
    assert "The first 3 of more casts" in text


def test_an_empty_list_says_what_would_fill_it_and_an_empty_search_how_to_leave_it():
    assert "manage.py cast SPELL" in page(superuser(), "casts_cast_changelist")
    assert "Nothing matches" in page(superuser(), "casts_cast_changelist", q="nothing")
