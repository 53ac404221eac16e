"""API keys: made for a user, shown once, revoked by deleting them."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.models import AbstractBaseUser, User
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from knox import admin as knox_admin  # noqa: F401 - registers its own page for keys first, so that ours replaces it
from knox.models import AuthToken

from spells.admin.json_html import visible
from spells.admin.records import ListAdmin

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "until it is revoked"}


class ApiKeyForm(forms.ModelForm[AuthToken]):
    """For whom a key is, and for how long. `asker` is who makes it."""

    asker: AbstractBaseUser
    lifetime = forms.ChoiceField(choices=list(LIFETIMES.items()), required=False, initial="90", label="Valid for")

    class Meta:
        model = AuthToken
        fields = ("user",)

    def clean_user(self) -> User:
        """Refuse keys that would not work, and keys by which somebody would get more rights than they have."""
        user: User = self.cleaned_data["user"]
        if not user.is_active:
            raise forms.ValidationError("This user is inactive: no key would let them in.")
        is_higher = user.is_staff or user.is_superuser
        if is_higher and user.pk != self.asker.pk and not getattr(self.asker, "is_superuser", False):
            raise forms.ValidationError("Only a superuser makes keys for others of the staff.")
        return user

    def lifetime_given(self) -> timedelta | None:
        days = self.cleaned_data["lifetime"]
        return timedelta(days=int(days)) if days else None


admin.site.unregister(AuthToken)


@admin.register(AuthToken)
class ApiKeyAdmin(ListAdmin[AuthToken]):
    """Keys are hashed at rest: the key itself is on the page that answers its creation, and nowhere after that."""

    form = ApiKeyForm
    autocomplete_fields = ("user",)
    nouns = ("API key", "API keys")
    list_display = ("beginning", "user", "created", "expires", "is_valid")
    list_select_related = ("user",)
    search_fields = ("token_key",)
    search_help_text = "By the beginning of the key, or by username."
    ordering = ("-created",)
    actions = None
    empty_list = "No API keys match."

    def matches(self, word: str) -> Q:
        return Q(token_key__startswith=word[:15]) | Q(user__username__iexact=word)

    def get_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> tuple[str, ...]:
        return ("user", "lifetime") if obj is None else ("beginning", "user", "created", "expires", "is_valid")

    def get_readonly_fields(self, request: HttpRequest, obj: AuthToken | None = None) -> tuple[str, ...]:
        return () if obj is None else self.get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.asker = request.user
        return form

    def has_change_permission(self, request: HttpRequest, obj: AuthToken | None = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"title": "Make an API key", "show_save_and_add_another": False, "show_save_and_continue": False}
        return super().add_view(request, form_url, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().change_view(
            request, object_id, form_url, {"title": "API key", "crumb": "API key", "subtitle": None, **(extra_context or {})}
        )

    def save_model(self, request: HttpRequest, obj: AuthToken, form: Any, change: bool) -> None:
        """Let knox make the key, and keep it beside the row for as long as this request lasts."""
        made, key = AuthToken.objects.create(user=obj.user, expiry=form.lifetime_given())
        vars(obj).update({field.attname: getattr(made, field.attname) for field in AuthToken._meta.concrete_fields}, key=key)

    def response_add(self, request: HttpRequest, obj: AuthToken, post_url_continue: str | None = None) -> HttpResponse:
        """Answer with the key itself: not through a message, which would store it in a cookie or a session."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "The new API key",
            "key": vars(obj)["key"],
            "row": obj,
        }
        return TemplateResponse(
            request, "admin/api_key.html", context, headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        )

    @admin.display(description="key", ordering="token_key")
    def beginning(self, row: AuthToken) -> SafeString:
        return format_html("<code>{}…</code>", visible(row.token_key))

    @admin.display(description="expires", ordering="expiry")
    def expires(self, row: AuthToken) -> Any:
        return row.expiry or "never"

    @admin.display(description="valid", boolean=True)
    def is_valid(self, row: AuthToken) -> bool:
        return bool(row.user.is_active and (row.expiry is None or row.expiry > timezone.now()))
