"""Tools: what an operator may set of them. What they are is declared by the code of their adapter."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import JSONField, Q
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from generations.catalogue import declared_by_config
from generations.tools import registry
from generations.tools.contract import ToolDefinition
from generations.tools.registry import AdapterNotFound
from spells.admin.formats import moment
from spells.admin.json_field import StrictJSONField
from spells.admin.json_html import json_html
from spells.admin.records import ListAdmin
from spells.models import Tool
from spells.prices import validate_prices
from spells.schemas import check

POLICY = ("max_attempts", "backoff_seconds", "max_backoff_seconds", "retry_lost_jobs", "run_timeout_seconds", "deadline_seconds")
LIMITS = ("provider", "max_in_flight", "max_per_minute")
WORDS = ("name", "description", "category")
# What a spell may ask for at most, too; on SQLite no column would refuse more.
MOST = {
    "max_attempts": 100,
    "max_backoff_seconds": 86_400,
    "run_timeout_seconds": 86_400,
    "deadline_seconds": 30 * 86_400,
    "max_in_flight": 1_000_000,
    "max_per_minute": 1_000_000,
}
MAX_TABLES_SHOWN = 100
COPIED = ("input_schema", "output_schema", "effects", "recovery")


def definitions_of(adapter: str) -> tuple[ToolDefinition, ...]:
    """Return what the code of an adapter declares; nothing when the adapter is not here."""
    try:
        return registry.get(adapter).definitions
    except AdapterNotFound:
        return ()


def is_declared(tool: Tool) -> bool:
    """Tell whether code declares this tool. Any other one is an operator's own."""
    return tool.slug in {definition.slug for definition in definitions_of(tool.adapter)}


def adapters_to_choose() -> list[tuple[str, str]]:
    """Return the adapters of which an operator can make a tool: those that declare one to start from."""
    return [(key, key) for key in registry.all_keys() if definitions_of(key)]


class ToolForm(forms.ModelForm[Tool]):
    """An operator's settings, checked as the adapter will check them."""

    class Meta:
        model = Tool
        fields = ("slug", "adapter", *WORDS, "enabled", "config", "pricing", *LIMITS, *POLICY)

    def clean_slug(self) -> str:
        slug: str = self.cleaned_data["slug"]
        if any(slug == definition.slug for key in registry.all_keys() for definition in definitions_of(key)):
            raise forms.ValidationError("Code declares a tool of this name. It comes in with: manage.py sync_tools")
        return slug

    def clean_config(self) -> Any:
        """Check the settings by the schema of the adapter. Raises ValidationError with the place of each problem."""
        config = self.cleaned_data["config"]
        try:
            adapter = registry.get(self.cleaned_data.get("adapter") or self.instance.adapter)
        except AdapterNotFound as error:
            if config != self.instance.config:
                raise forms.ValidationError(f"The settings cannot be checked, and so not be changed: {error}") from error
            return config  # the tool can still be switched off
        problems = check(config, adapter.config_schema, path="config") or adapter.config_problems(config)
        if problems:
            raise forms.ValidationError([str(problem) for problem in problems])
        return config

    def clean_pricing(self) -> Any:
        """Check also an empty list or text, at which the model's own check does not look."""
        validate_prices(self.cleaned_data["pricing"])
        return self.cleaned_data["pricing"]

    def clean(self) -> dict[str, Any]:
        """Check the bounds, and what two fields say together."""
        cleaned = super().clean() or self.cleaned_data
        for name, most in MOST.items():
            if (cleaned.get(name) or 0) > most:
                self.add_error(name, f"At most {most:,}.")
        first, longest = cleaned.get("backoff_seconds"), cleaned.get("max_backoff_seconds")
        if first is not None and first < 0:
            self.add_error("backoff_seconds", "A wait cannot be negative.")
        elif first is not None and longest is not None and longest < first:
            self.add_error("max_backoff_seconds", "The longest wait cannot be shorter than the first.")
        return cleaned


@admin.register(Tool)
class ToolAdmin(ListAdmin[Tool]):
    """Settings and limits of tools. Most rows come from `manage.py sync_tools`; an operator adds, say, one for another endpoint."""

    form = ToolForm
    formfield_overrides = {JSONField: {"form_class": StrictJSONField}}
    list_display = ("slug", "name", "category", "provider", "effects", "recovery", "max_in_flight", "max_per_minute", "enabled")
    list_filter = ("enabled", "effects")
    list_select_related = ("provider",)
    search_fields = ("slug", "name", "category", "adapter")
    search_help_text = "By slug, name, category or adapter."
    ordering = ("slug",)
    list_per_page = 100
    actions = None
    unlisted = ("config", "input_schema", "output_schema", "pricing", "description")
    empty_list = "No tools match. The built-in ones come in with: manage.py sync_tools"
    readonly_fields = (
        "adapter_shown",
        "config_schema_shown",
        "prices_shown",
        "input_schema_shown",
        "output_schema_shown",
        "created_at",
        "updated_at",
    )

    def matches(self, word: str) -> Q:
        return Q(slug__icontains=word) | Q(name__icontains=word) | Q(category__iexact=word) | Q(adapter__iexact=word)

    def get_fieldsets(self, request: HttpRequest, obj: Tool | None = None) -> Any:
        settings = ("config", "pricing") if obj is None else ("config", "config_schema_shown", "pricing", "prices_shown")
        who = ("slug", "adapter", *WORDS) if obj is None else ("enabled", "slug", "adapter_shown", *WORDS, "effects", "recovery")
        schemas = ("input_schema_shown", "output_schema_shown", "created_at", "updated_at")
        return [
            (None, {"fields": who}),
            ("Settings", {"fields": settings}),
            ("Limits", {"fields": LIMITS}),
            ("Retries and time", {"fields": POLICY}),
            *([] if obj is None else [("Schemas and row", {"fields": schemas, "classes": ("collapse",)})]),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Tool | None = None) -> Any:
        if obj is None:
            return ()
        return (*self.readonly_fields, "slug", "effects", "recovery", *(WORDS if is_declared(obj) else ()))

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "adapter":
            return forms.ChoiceField(choices=adapters_to_choose, help_text="Its schemas and effects become the tool's.")
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Tool | None = None) -> bool:
        """Allow a tool to go only while no step of any spell calls it."""
        is_free = obj is None or not obj.steps.exists()
        return is_free and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: Tool, form: Any, change: bool) -> None:
        follows = declared_by_config(obj) if "config" in form.changed_data else {}
        if not change:
            definition = definitions_of(obj.adapter)[0]
            follows = {name: getattr(definition, name) for name in COPIED} | declared_by_config(obj)
        for name, value in follows.items():
            setattr(obj, name, dict(value) if name.endswith("_schema") else value)
        if change:
            obj.save(update_fields=[*form.changed_data, *follows, "updated_at"])
        else:
            obj.save(force_insert=True)

    @admin.display(description="adapter")
    def adapter_shown(self, tool: Tool) -> str:
        try:
            registry.get(tool.adapter)
        except AdapterNotFound as error:
            return f"{tool.adapter}: {error}"
        return tool.adapter

    @admin.display(description="schema of the config")
    def config_schema_shown(self, tool: Tool) -> SafeString:
        try:
            return json_html(dict(registry.get(tool.adapter).config_schema))
        except AdapterNotFound:
            return json_html(None)

    @admin.display(description="price tables")
    def prices_shown(self, tool: Tool) -> SafeString:
        """Show what the tool costs and cost, newest first: the basis of a call's cost names the number."""
        tables = tool.price_tables.order_by("-number")[:MAX_TABLES_SHOWN]
        rows = ((table.number, moment(table.created_at), json_html(table.prices)) for table in tables)
        row = "<tr><td>{}</td><td>{}</td><td>{}</td></tr>"
        head = "<thead><tr><th>number</th><th>since</th><th>prices</th></tr></thead>"
        return format_html("<table>{}<tbody>{}</tbody></table>", mark_safe(head), format_html_join("", row, rows))  # noqa: S308 - a constant

    @admin.display(description="inputs")
    def input_schema_shown(self, tool: Tool) -> SafeString:
        return json_html(tool.input_schema)

    @admin.display(description="output")
    def output_schema_shown(self, tool: Tool) -> SafeString:
        return json_html(tool.output_schema)
