"""The admin site: its name, the order of its tables, and what its first page tells.

It stands beside the package that registers with it: Django imports this module in the middle of a first registration.
"""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse

# First what an operator looks at daily. Names of libraries give way to what their tables hold.
APPS = {"casts": "Casts", "generations": "Calls", "spells": "Spells", "auth": "People", "knox": "API keys", "django_q": "Queue"}
MODELS = {
    "AuthToken": "API keys",
    "Failure": "Failed tasks",
    "OrmQ": "Queued tasks",
    "Schedule": "Schedules",
    "ConductorProcess": "Conductors",
    "CastEvent": "Events",
    "SpellVersion": "Versions",
    "Artifact": "Artefacts",
}
ORDER = (
    "Casts",
    "Cooks",
    "Collections",
    "Pieces",
    "Review events",
    "Exports",
    "Alerts",
    "Alert mails",
    "Wakeups",
    "Conductors",
    "Events",
    "Notifications",
    "Subscriptions",
    "Generations",
    "Artefacts",
    "Callbacks",
    "Spells",
    "Versions",
    "Tools",
    "Providers",
    "Gates",
)


class GrimoireAdminSite(AdminSite):
    """The admin of Grimoire."""

    site_header = "Grimoire"
    site_title = "Grimoire"
    index_title = "At a glance"
    site_url = None
    empty_value_display = "\N{EN DASH}"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show how the site stands, to whoever may see casts, above the list of tables."""
        from casts.admin.overview import overview  # noqa: PLC0415 - its package registers with this site, which must exist first

        may_see = request.user.has_perm("casts.view_cast") or request.user.has_perm("casts.change_cast")
        return super().index(request, {"overview": overview() if may_see else None, **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps = super().get_app_list(request, app_label)
        for app in apps:
            app["name"] = APPS.get(app["app_label"], app["name"])
            for model in app["models"]:
                model["name"] = MODELS.get(model["object_name"], model["name"])
            app["models"].sort(key=_place)
        return sorted(apps, key=lambda app: [*APPS, app["app_label"]].index(app["app_label"]))


def _place(model: Any) -> tuple[int, str]:
    name = str(model["name"])
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)
