from collections.abc import Sequence
from typing import Any

import django.contrib.admin.apps as admin_apps  # a module: AppConfig classes that stand here by name would be taken for ours
from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import autodiscover
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register

from config.logs import configure_structlog, tell_of_uncaught


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Set up logs, and register the system checks."""
        from config import checks  # noqa: F401, PLC0415 - its import registers them, which needs the settings

        configure_structlog(is_traced=bool(settings.TRACES_ENDPOINT))
        tell_of_uncaught(form=settings.LOG_FORMAT)


class GrimoireAdminConfig(admin_apps.SimpleAdminConfig):
    """Django's admin, on a site of our own.

    Its pages are read by config/urls.py and by the check of them. A conductor serves none, and is spared a quarter of its start.
    """

    default = False
    default_site = "config.admin_site.GrimoireAdminSite"

    def ready(self) -> None:
        """Register the checks, and read no pages."""
        register(check_dependencies, Tags.admin)
        register(check_admin, Tags.admin)


def check_admin(**options: Any) -> Sequence[CheckMessage]:
    """Check the pages, which are read for this where no URL was looked at before."""
    autodiscover()
    return check_admin_app(**options)
