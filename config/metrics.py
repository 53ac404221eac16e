"""`/metrics`: what Prometheus reads. It tells what casts cost, so it is not for everybody."""

from collections.abc import Iterator
from hmac import compare_digest

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from casts.metrics import gauges, tallies


class FromDatabase(Collector):
    """Reads everything anew at each scrape."""

    def collect(self) -> Iterator[Metric]:
        yield from gauges.collect()
        yield from tallies.collect()


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer to whoever brings the token of GRIMOIRE_METRICS_TOKEN, or is signed in as staff."""
    if not _may_read(request):
        return HttpResponse(
            "Bring the token that GRIMOIRE_METRICS_TOKEN holds as `Authorization: Bearer <token>`, or sign in as staff.\n",
            status=401,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": "Bearer"},
        )
    tallies.hand_in()
    registry = CollectorRegistry()
    registry.register(FromDatabase())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    wanted = settings.GRIMOIRE_METRICS_TOKEN
    if wanted and scheme.lower() == "bearer":
        return compare_digest(token.strip().encode(), wanted.encode())
    return request.user.is_active and request.user.is_staff
