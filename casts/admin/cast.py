"""Casts: the list, the page of one with its timeline, and what an operator may do."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from casts import engine
from casts.clock import database_now
from casts.engine import InvalidOutputError, NotSkippableError, TransitionRefusedError
from casts.models import Cast
from casts.progress import progress_of, with_shown_status
from generations.admin.generation import badge, short_id
from generations.models import Generation
from spells.admin.filters import BegunFilter
from spells.admin.formats import NOTHING, duration, money, rough
from spells.admin.json_html import visible
from spells.admin.records import RecordAdmin
from spells.admin.search import MAX_WORD, id_range

from .filters import InitiatorFilter, SpellFilter, StatusFilter, StuckFilter, versions_named
from .page import page_of, view_of
from .resolving import ResolveForm
from .skipping import SkipForm
from .timeline import View
from .verbs import VERBS, Verb

# More at once would keep a request, and whoever sent it, waiting for too long.
MOST_AT_ONCE = 200
SHOWN_REFUSALS = 10
LONGEST_REASON = 500


@admin.register(Cast)
class CastAdmin(RecordAdmin[Cast]):
    """No field can be edited. Every change goes through a verb of the engine, which rings, guards and keeps the audit."""

    list_display = (
        *("id_shown", "spell_shown", "status_shown", "progress_shown"),
        *("cost_shown", "begun", "took", "initiator_shown", "error_shown"),
    )
    list_filter = (StatusFilter, StuckFilter, BegunFilter, SpellFilter, InitiatorFilter)
    list_select_related = ("version__spell", "initiator")
    search_fields = ("id",)
    search_help_text = (
        "By id of the cast or of one of its generations (from 6 digits on), by spell (slug or slug@2), or by idempotency key."
    )
    sortable_by = ("id_shown", "cost_shown")
    ordering = ("-pk",)
    actions = (*(f"{name}_selected" for name in VERBS), "skip_selected")
    unlisted = ("inputs", "outputs", "reason", "request_digest", "version__input_schema", "version__outputs", "version__spell__description")
    empty_list = "No casts match. Start one with: manage.py cast SPELL"

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_POST(self.verb_view))
        resolve = self.admin_site.admin_view(require_POST(self.resolve_view))
        skip = self.admin_site.admin_view(require_POST(self.skip_view))
        return [
            path("<uuid:cast_id>/do/<slug:name>/", act, name="casts_cast_verb"),
            path("<uuid:cast_id>/skip/<uuid:generation_id>/", skip, name="casts_cast_skip"),
            path("<uuid:cast_id>/resolve/<uuid:generation_id>/", resolve, name="casts_cast_resolve"),
            *super().get_urls(),
        ]

    def has_act_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("casts.change_cast")

    # The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cast]:
        casts: QuerySet[Cast] = with_shown_status(super().get_queryset(request)).select_related("version__spell", "initiator")
        return casts

    def matches(self, word: str) -> Q:
        found = Q(version__in=versions_named(word, exactly=False)) | Q(idempotency_key=word)
        bounds = id_range(word)
        if bounds is None:
            return found
        if bounds[0] == bounds[1]:  # a whole id is nothing else
            return Q(pk=bounds[0]) | Q(pk__in=list(Generation.objects.filter(pk=bounds[0]).values_list("cast", flat=True)))
        return found | Q(pk__range=bounds)

    def completed(self, rows: list[Cast]) -> list[Cast]:
        progress, now = progress_of(rows), database_now()
        for cast in rows:
            vars(cast).update(progress=progress[cast.pk], now=now)
        return rows

    @admin.display(description="cast", ordering="pk")
    def id_shown(self, cast: Cast) -> SafeString:
        return short_id(cast.pk)

    @admin.display(description="spell")
    def spell_shown(self, cast: Cast) -> str:
        return f"{cast.version.spell.slug}@{cast.version.number}"

    @admin.display(description="initiator")
    def initiator_shown(self, cast: Cast) -> SafeString:
        return format_html("<bdi>{}</bdi>", visible(cast.initiator.get_username()))

    @admin.display(description="status")
    def status_shown(self, cast: Any) -> SafeString:
        shown = badge(cast.shown_status)
        is_ending = cast.cancel_requested_at and cast.finished_at is None
        return format_html('{} <span class="quiet">cancelling</span>', shown) if is_ending else shown

    @admin.display(description="progress")
    def progress_shown(self, cast: Any) -> SafeString:
        return format_html(
            '<progress class="is-{}" value="{}" max="{}">{} of {}</progress> <span class="quiet">{}/{}</span>',
            *(cast.shown_status, cast.progress.done, max(cast.progress.total, 1)),
            *(cast.progress.done, cast.progress.total, cast.progress.done, cast.progress.total),
        )

    @admin.display(description="cost", ordering="cost_usd")
    def cost_shown(self, cast: Cast) -> str:
        return money(cast.cost_usd)

    @admin.display(description="age")
    def begun(self, cast: Any) -> SafeString:
        age = rough((cast.now - cast.created_at).total_seconds())
        return format_html('<time datetime="{0}" title="{0}">{1}</time>', cast.created_at.isoformat(), age)

    @admin.display(description="took")
    def took(self, cast: Any) -> str:
        if cast.started_at is None:
            return NOTHING
        return duration(((cast.finished_at or cast.now) - cast.started_at).total_seconds())

    @admin.display(description="error")
    def error_shown(self, cast: Cast) -> SafeString | str:
        error = cast.error if isinstance(cast.error, dict) else {}
        code, message = str(error.get("code", ""))[:60], str(error.get("message", ""))[:300]
        return format_html('<code title="{}">{}</code>', visible(message), visible(code)) if error else NOTHING

    # The page of one cast

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        cast = self.get_object(request, unquote(object_id))
        if cast is None:
            messages.error(request, f"There is no cast {visible(object_id[:MAX_WORD])}.")
            return HttpResponseRedirect(reverse("admin:casts_cast_changelist"))
        return self._page(request, cast, view=view_of(request))

    def _page(self, request: HttpRequest, cast: Cast, *, view: View, refused: ResolveForm | SkipForm | None = None) -> TemplateResponse:
        may_act = self.has_act_permission(request)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Cast of {self.spell_shown(cast)}",
            "original": cast,
            "may_act": may_act,
            **page_of(cast, view=view, may_act=may_act, refused=refused),
        }
        return TemplateResponse(request, "admin/casts/page.html", context, status=422 if refused else 200)

    # What can be done

    def verb_view(self, request: HttpRequest, cast_id: UUID, name: str) -> HttpResponse:
        if not self.has_act_permission(request):
            raise PermissionDenied
        if name not in VERBS:
            raise Http404(f"There is no verb {name}.")
        reason = " ".join(request.POST.get("reason", "").replace("\0", " ").split())[:LONGEST_REASON]
        refusals = self._act(request, VERBS[name], [cast_id], reason=reason)
        for refusal in refusals:
            messages.error(request, refusal)
        if not refusals:
            messages.success(request, f"The cast is {VERBS[name].done}.")
        return HttpResponseRedirect(reverse("admin:casts_cast_change", args=[cast_id]))

    @admin.action(description="Pause: start no new calls", permissions=["act"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Cast]) -> None:
        self._act_on_selected(request, VERBS["pause"], queryset)

    @admin.action(description="Resume paused casts", permissions=["act"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Cast]) -> None:
        self._act_on_selected(request, VERBS["resume"], queryset)

    @admin.action(description="Retry from where they failed", permissions=["act"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Cast]) -> None:
        self._act_on_selected(request, VERBS["retry"], queryset)

    @admin.action(description="Cancel", permissions=["act"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Cast]) -> None:
        self._act_on_selected(request, VERBS["cancel"], queryset)

    @admin.action(description="Skip the step that failed …", permissions=["act"])
    def skip_selected(self, request: HttpRequest, queryset: QuerySet[Cast]) -> HttpResponse | None:
        """Ask for the output and the reason, then skip the step by which each selected cast failed."""
        ids = self._selected(request, queryset)
        if not ids:
            return None
        form = SkipForm(request.POST if "skip" in request.POST else None)
        if not form.is_valid():
            context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "Skip the step that failed"}
            return TemplateResponse(
                request, "admin/casts/skip_selected.html", {**context, "form": form, "ids": ids}, status=422 if form.is_bound else 200
            )
        refusals = self._skip(request, ids, form)
        self._tell(request, refusals, done="carried on" if form.cleaned_data["resume"] else "skipped", number=len(ids))
        return None

    def _skip(self, request: HttpRequest, ids: Sequence[UUID], form: SkipForm) -> list[str]:
        """Skip the failed step of each cast, in a transaction of its own, and return the refusals."""
        refusals = []
        for cast_id in ids:
            try:
                cast = engine.skip(cast_id=cast_id, actor_id=request.user.pk, now=database_now(), **form.arguments())
            except (TransitionRefusedError, NotSkippableError, InvalidOutputError) as error:
                refusals.append(f"{cast_id}: {error}")
            except Cast.DoesNotExist:
                refusals.append(f"{cast_id}: there is no such cast.")
            else:
                self.log_change(request, cast, "The step that failed was skipped.")
        return refusals

    def _selected(self, request: HttpRequest, queryset: QuerySet[Cast]) -> list[UUID]:
        """Return the selected casts, or none, and say so, when they are too many."""
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(ids) <= MOST_AT_ONCE:
            return ids
        messages.error(request, f"Nothing was changed: select at most {MOST_AT_ONCE} casts at once.")
        return []

    def _act_on_selected(self, request: HttpRequest, verb: Verb, queryset: QuerySet[Cast]) -> None:
        """Do one thing to each selected cast, and tell of how many it was done and which refused."""
        ids = self._selected(request, queryset)
        self._tell(request, self._act(request, verb, ids), done=verb.done, number=len(ids))

    def _tell(self, request: HttpRequest, refusals: Sequence[str], *, done: str, number: int) -> None:
        for refusal in refusals[:SHOWN_REFUSALS]:
            messages.error(request, refusal)
        if len(refusals) > SHOWN_REFUSALS:
            messages.error(request, f"{len(refusals) - SHOWN_REFUSALS} more refused.")
        changed = number - len(refusals)
        if changed:
            messages.success(request, f"{changed} {'cast is' if changed == 1 else 'casts are'} {done}.")

    def _act(self, request: HttpRequest, verb: Verb, ids: Sequence[UUID], *, reason: str = "") -> list[str]:
        """Do one thing to each cast, in a transaction of its own, and return the refusals."""
        refusals = []
        for cast_id in ids:
            try:
                cast = verb.act(cast_id=cast_id, actor_id=request.user.pk, now=database_now(), reason=reason)
            except TransitionRefusedError as error:
                refusals.append(f"{cast_id}: {error}")
            except Cast.DoesNotExist:
                refusals.append(f"{cast_id}: there is no such cast.")
            else:
                self.log_change(request, cast, f"Asked to {verb.name}.")
        return refusals

    def resolve_view(self, request: HttpRequest, cast_id: UUID, generation_id: UUID) -> HttpResponse:
        """Settle an `unknown` generation by what the operator found."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        cast, generation = self._attempt(request, cast_id, generation_id)
        form = ResolveForm(request.POST, generation_id=generation.pk, output_schema=generation.step.tool.output_schema)
        if not form.is_valid():
            return self._page(request, cast, view=View(focus=generation_id), refused=form)
        place = f"Step {generation.step.key}, item {generation.item}"
        try:
            engine.resolve(generation_id=generation_id, now=database_now(), actor_id=request.user.pk, **form.arguments())
        except TransitionRefusedError:
            messages.error(request, f"Nothing was changed: {place} is not unknown any more.")
        else:
            self.log_change(request, cast, f"{place} was settled: {form.cleaned_data['finding']}.")
            messages.success(request, f"{place} is settled. The cast goes on from there.")
        return HttpResponseRedirect(f"{reverse('admin:casts_cast_change', args=[cast_id])}#g-{generation_id}")

    def skip_view(self, request: HttpRequest, cast_id: UUID, generation_id: UUID) -> HttpResponse:
        """Give the step of a failed generation an output by hand."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        cast, generation = self._attempt(request, cast_id, generation_id)
        form = SkipForm(request.POST, generation_id=generation_id)
        if form.is_valid():
            arguments = {**form.arguments(), "step_key": generation.step.key, "item": generation.item}
            try:
                engine.skip(cast_id=cast_id, now=database_now(), actor_id=request.user.pk, **arguments)
            except InvalidOutputError as error:
                form.refuse(error)
            except (TransitionRefusedError, NotSkippableError) as error:
                messages.error(request, f"Nothing was changed: {error}")
            else:
                self.log_change(request, cast, f"Step {generation.step.key}, item {generation.item} was skipped.")
                messages.success(request, f"Step {generation.step.key} is skipped.")
        if not form.is_valid():
            return self._page(request, cast, view=View(focus=generation_id), refused=form)
        return HttpResponseRedirect(f"{reverse('admin:casts_cast_change', args=[cast_id])}#step-{generation.step.key}")

    def _attempt(self, request: HttpRequest, cast_id: UUID, generation_id: UUID) -> tuple[Cast, Generation]:
        """Return the cast and the generation of an address. Raises Http404."""
        cast = self.get_object(request, str(cast_id))
        generation = Generation.objects.select_related("step__tool").filter(pk=generation_id, cast=cast_id).first()
        if cast is None or generation is None:
            raise Http404("There is no such generation of this cast.")
        return cast, generation
