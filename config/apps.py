from django.apps import AppConfig

from config.logs import configure_structlog


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Set up logs, and register the system checks."""
        from config import checks  # noqa: F401, PLC0415 - its import registers them, which needs the settings

        configure_structlog()
