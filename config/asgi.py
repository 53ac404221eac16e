"""The web process: API and pages over ASGI. It alone has a pool of database connections (`config.settings`)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application

_django = get_asgi_application()

from config.bodies import Bounded  # noqa: E402 - it knows the models, which are there only now

application = Bounded(_django)
