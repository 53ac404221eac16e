import django.contrib.admin.apps as admin_apps  # a module: AppConfig classes that stand here by name would be taken for ours
from django.apps import AppConfig
from django.conf import settings

from config.logs import configure_structlog, tell_of_uncaught


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Set up logs, and register the system checks."""
        from config import checks  # noqa: F401, PLC0415 - its import registers them, which needs the settings

        configure_structlog(is_traced=bool(settings.TRACES_ENDPOINT))
        tell_of_uncaught(form=settings.LOG_FORMAT)


class GrimoireAdminConfig(admin_apps.AdminConfig):
    """Django's admin, on a site of our own."""

    default = False
    default_site = "config.admin_site.GrimoireAdminSite"
