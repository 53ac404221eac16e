"""The web process: API and pages over ASGI. It alone has a pool of database connections (`config.settings`)."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config import handler

_django = handler.application()

from django.conf import settings  # noqa: E402 - these know the models, which are there only now

from casts.streaming.application import EventStreams  # noqa: E402
from casts.streaming.seats import Seats  # noqa: E402
from config.access import Observed  # noqa: E402
from config.bodies import Bounded  # noqa: E402
from config.lifespan import Lifespan  # noqa: E402

_seats = Seats(total=settings.GRIMOIRE_MAX_STREAMS, per_user=settings.GRIMOIRE_MAX_STREAMS_PER_USER)
application = Lifespan(Observed(EventStreams(Bounded(_django), seats=_seats)))
