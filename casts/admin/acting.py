"""The page of one cast, and what an operator may do to one or to many: all by verbs of the engine."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST

from casts import engine
from casts.clock import database_now
from casts.engine import InvalidOutputError, NotSkippableError, TransitionRefusedError
from casts.models import Cast
from generations.models import Generation
from spells.admin.json_html import visible
from spells.admin.records import RecordAdmin
from spells.admin.search import MAX_WORD

from .page import page_of, view_of
from .resolving import ResolveForm
from .skipping import SkipForm
from .timeline import View
from .verbs import VERBS, Verb

# More at once would keep a request, and whoever sent it, waiting for too long.
MOST_AT_ONCE = 200
SHOWN_REFUSALS = 10
LONGEST_REASON = 500


def spell_of(cast: Cast) -> str:
    """Return what a cast is of: `illustrated-story@3`."""
    return f"{cast.version.spell.slug}@{cast.version.number}"


class ActingAdmin(RecordAdmin[Cast]):
    """The page of a cast and its forms. No field can be edited: each change is a verb, which rings, guards and keeps the audit."""

    actions = (*(f"{name}_selected" for name in VERBS), "skip_selected")

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
            "title": f"Cast of {spell_of(cast)}",
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
