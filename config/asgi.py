"""The web process: API and pages over ASGI."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
# One pool for the one process that serves many requests at once. The cluster must never have one: it forks.
os.environ.setdefault("GRIMOIRE_DATABASE_POOL", "true")

from django.core.asgi import get_asgi_application

application = get_asgi_application()
