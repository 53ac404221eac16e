"""Versions of spells: their steps, their document, and the publishing of drafts."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from spells.documents import DocumentError, document_of, dump
from spells.models import SpellVersion, Step
from spells.publishing import PublishError, publish, validate

from .filters import WordFilter, newest
from .json_html import json_html, visible
from .records import RecordAdmin

# Lines of a document that are shown unfolded.
SHOWN_LINES = 60


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("published", "published"), ("draft", "draft")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[SpellVersion]) -> QuerySet[SpellVersion]:
        return queryset.filter(published_at__isnull=self.value() == "draft") if self.value() in {"published", "draft"} else queryset


class SlugFilter(WordFilter):
    title = "spell"
    parameter_name = "spell"
    placeholder = "slug"

    def suggestions(self) -> list[str]:
        return newest(SpellVersion.objects.order_by("-pk").values_list("spell__slug", flat=True), count=200)

    def narrowed(self, queryset: QuerySet[SpellVersion], word: str) -> QuerySet[SpellVersion]:
        return queryset.filter(spell__slug=word)


class StepInline(admin.StackedInline[Step, SpellVersion]):
    """The steps of a version, to read."""

    model = Step
    extra = 0
    can_delete = False
    ordering = ("position",)
    template = "admin/spells/steps.html"
    fields = readonly_fields = ("key",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        return super().get_queryset(request).select_related("tool").prefetch_related("dependencies__depends_on")

    def has_add_permission(self, request: HttpRequest, obj: SpellVersion | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SpellVersion | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SpellVersion | None = None) -> bool:
        return False


@admin.register(SpellVersion)
class SpellVersionAdmin(RecordAdmin[SpellVersion]):
    """To read, whether published or draft: a draft is rewritten as a whole, by `manage.py import_spell` or the API."""

    nouns = ("version", "versions")
    list_display = ("version_shown", "state_shown", "steps_count", "created_at", "published_at")
    list_filter = (StateFilter, SlugFilter)
    list_select_related = ("spell",)
    search_fields = ("spell__slug",)
    search_help_text = "By the slug of the spell, or slug@number."
    ordering = ("-pk",)
    actions = ("publish_selected",)
    inlines = (StepInline,)
    fields = ("spell", "number", "created_at", "published_at", "inputs_shown", "outputs_shown", "document_shown")
    readonly_fields = fields
    change_form_template = "admin/spells/version.html"
    unlisted = ("input_schema", "outputs", "spell__description")
    empty_list = "No versions match. A draft comes in with: manage.py import_spell FILE"
    max_published_at_once: ClassVar[int] = 50

    def matches(self, word: str) -> Q:
        slug, _, number = word.partition("@")
        found = Q(spell__slug__icontains=slug)
        return found & Q(number=int(number)) if number.isascii() and number.isdecimal() and len(number) <= 9 else found  # noqa: PLR2004 - fits

    def get_queryset(self, request: HttpRequest) -> QuerySet[SpellVersion]:
        return super().get_queryset(request).select_related("spell")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.publish_view))
        return [path("<int:version_id>/publish/", view, name="spells_spellversion_publish"), *super().get_urls()]

    def has_publish_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("spells.change_spellversion")

    def completed(self, rows: list[SpellVersion]) -> list[SpellVersion]:
        counts = dict(Step.objects.filter(version__in=rows).values_list("version").annotate(count=Count("pk")))
        for version in rows:
            vars(version)["step_count"] = counts.get(version.pk, 0)
        return rows

    # What a row and the page show

    @admin.display(description="version", ordering="pk")
    def version_shown(self, version: SpellVersion) -> str:
        return f"{version.spell.slug}@{version.number}"

    @admin.display(description="state")
    def state_shown(self, version: SpellVersion) -> SafeString:
        state = "published" if version.is_published else "draft"
        return format_html('<span class="badge {}">{}</span>', "is-succeeded" if version.is_published else "is-quiet", state)

    @admin.display(description="steps")
    def steps_count(self, version: Any) -> int:
        count: int = version.step_count
        return count

    @admin.display(description="schema of the inputs")
    def inputs_shown(self, version: SpellVersion) -> SafeString:
        return json_html(version.input_schema)

    @admin.display(description="outputs")
    def outputs_shown(self, version: SpellVersion) -> SafeString:
        return json_html(version.outputs)

    @admin.display(description="document")
    def document_shown(self, version: SpellVersion) -> SafeString:
        try:
            text = visible(dump(document_of(version), format="yaml"))
        except DocumentError as error:
            return format_html("<p>It says more than a document can:</p><pre>{}</pre>", visible(str(error)))
        lines = text.count("\n")
        block = format_html('<pre class="document" dir="ltr">{}</pre>', text)
        return block if lines <= SHOWN_LINES else format_html("<details><summary>{} lines of YAML</summary>{}</details>", lines, block)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        is_draft = version is not None and not version.is_published
        context = {
            "is_draft": is_draft,
            "problems": validate(version) if version is not None and is_draft else [],
            "may_publish": self.has_publish_permission(request),
            "title": self.version_shown(version) if version else "",
            "subtitle": None,
            "crumb": self.version_shown(version) if version else "",
        }
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    # What can be done

    @admin.action(description="Publish the selected drafts", permissions=["publish"])
    def publish_selected(self, request: HttpRequest, queryset: QuerySet[SpellVersion]) -> None:
        ids = list(queryset.order_by("pk").values_list("pk", flat=True)[: self.max_published_at_once + 1])
        if len(ids) > self.max_published_at_once:
            messages.error(request, f"Nothing was published: select at most {self.max_published_at_once} at once.")
            return
        for version_id in ids:
            self._publish(request, version_id)

    def publish_view(self, request: HttpRequest, version_id: int) -> HttpResponse:
        if not self.has_publish_permission(request):
            raise PermissionDenied
        self._publish(request, version_id)
        return HttpResponseRedirect(reverse("admin:spells_spellversion_change", args=[version_id]))

    def _publish(self, request: HttpRequest, version_id: int) -> None:
        """Publish one draft, and tell what came of it."""
        try:
            version = publish(version_id=version_id, now=timezone.now())
        except SpellVersion.DoesNotExist:
            messages.error(request, f"Version {version_id} is gone.")
        except PublishError as error:
            version = SpellVersion.objects.select_related("spell").get(pk=version_id)
            problems = format_html_join("", "<li>{}</li>", ((visible(str(problem)),) for problem in error.problems))
            messages.error(request, format_html("{} was not published:<ul>{}</ul>", self.version_shown(version), problems))
        else:
            self.log_change(request, version, "Published.")
            messages.success(request, f"{self.version_shown(version)} is published. It never changes from now on.")
