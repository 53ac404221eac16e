"""The programs that serve Grimoire on one machine, and how each shows that it works."""

import ipaddress
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx2
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from casts import canary
from casts.canary import Canary
from casts.clock import database_now
from casts.models import ConductorProcess
from casts.supervisor import Program
from generations.tools.http_client import certificates

CANARY_SECONDS = 30.0
POLL_SETTING = "GRIMOIRE_CLUSTER_POLL_SECONDS"
RELAXED_POLL_SECONDS = "3"
# Forks of the cluster and threads of the conductors have connections of their own; a pool is for the web alone.
WITHOUT_POOL = {"GRIMOIRE_DATABASE_POOL": "false"}
# Whoever starts these programs has had the same settings checked, and would hear of them once more from each.
UNCHECKED = "--skip-checks"
GRACEFUL_SECONDS = 5  # an open event stream would hold the web process for ever
BACKLOG = 2048


class AddressError(Exception):
    """The address cannot be served on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where the web process listens. It inherits the socket, so that requests wait while it starts again."""

    listener: socket.socket
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def listen(*, host: str, port: int) -> Site:
    """Take an address. Port 0 takes any that is free.

    Raises:
        AddressError: it is taken, or not of this machine; the message says which.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)  # a name that is none has another numbering
        raise AddressError(f"Port {port} of {host} cannot be used: {why}.") from error
    # uvicorn takes an inherited socket for a local one and would leave this unset: answers would wait for 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return Site(listener=listener, host=host, port=listener.getsockname()[1])


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def web(*, site: Site, environment: Mapping[str, str]) -> Program:
    """Return the web process: API, pages and event streams."""
    module, _, name = settings.ASGI_APPLICATION.rpartition(".")
    command = [sys.executable, "-m", "uvicorn", f"{module}:{name}", f"--fd={site.listener.fileno()}"]
    command += [f"--timeout-graceful-shutdown={GRACEFUL_SECONDS}", "--lifespan=on", "--no-server-header"]
    command += ["--no-access-log"]  # config.access tells of requests
    # the word of a proxy counts only where there is one
    command += ["--proxy-headers" if settings.SECURE_PROXY_SSL_HEADER else "--no-proxy-headers"]
    return Program(
        name="web",
        command=command,
        probe=lambda: WebProbe(site),
        silence_seconds=60,
        environment=environment,
        pass_fds=[site.listener.fileno()],
    )


def cluster(*, workers: int, conductors: int, environment: Mapping[str, str]) -> Program:
    """Return django-q2's cluster. One with a single worker may be busy with one task for as long as tasks may take.

    Beside `conductors` nobody waits for what is in its queue, and it looks there every three seconds.
    """
    pace = {POLL_SETTING: RELAXED_POLL_SECONDS} if conductors and POLL_SETTING not in os.environ else {}
    return Program(
        name="cluster",
        command=[*manage_py(), "qcluster", UNCHECKED],
        probe=ClusterProbe,
        silence_seconds=120 if workers > 1 else settings.Q_CLUSTER["timeout"] + 60,
        environment={**pace, **environment, **WITHOUT_POOL, "GRIMOIRE_CLUSTER_WORKERS": str(workers)},
    )


def conductor(*, number: int, environment: Mapping[str, str]) -> Program:
    return Program(
        name=f"conductor {number}",
        command=[*manage_py(), "conduct", UNCHECKED],
        probe=ConductorProbe,
        silence_seconds=60,
        environment={**environment, **WITHOUT_POOL},
    )


def manage_py() -> Sequence[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py")]


class WebProbe:
    """First asks whether the web process can work, then only whether it answers: it cannot mend the database."""

    def __init__(self, site: Site) -> None:
        """Take the address."""
        self._url = site.url
        self._path = "/readyz"
        # a host name under which requests are answered
        named = [host for host in settings.ALLOWED_HOSTS if not host.startswith((".", "*"))]
        self._headers = {"Host": named[0] if named else "localhost"}

    def ask(self, pid: int) -> bool | None:  # noqa: ARG002 - the address is enough
        try:
            response = httpx2.get(self._url + self._path, headers=self._headers, timeout=2.0, trust_env=False, verify=certificates())
        except httpx2.HTTPError:
            return False
        # casts that wait for a conductor are no reason to hold the web process up: one may start after it
        if response.is_success or (
            response.headers.get("content-type") == "application/json" and response.json().get("casts") == "waiting"
        ):
            self._path = "/healthz"
            return True
        return False


class ConductorProbe:
    """Looks for the heartbeat of the process."""

    def ask(self, pid: int) -> bool | None:
        try:
            return ConductorProcess.objects.alive().filter(host=socket.gethostname(), pid=pid).exists()
        except (DatabaseError, InterfaceError):
            connection.close()  # it may be broken; without the database nobody can be judged
            return None


class ClusterProbe:
    """Sends canaries, one after the other."""

    def __init__(self) -> None:
        """Send none yet."""
        self._waiting_for: Canary | None = None
        self._send_at = 0.0

    def ask(self, pid: int) -> bool | None:  # noqa: ARG002 - what counts is that some cluster works
        try:
            if self._waiting_for is None:
                if time.monotonic() < self._send_at:
                    return None
                self._waiting_for = canary.send(now=database_now())
                self._send_at = time.monotonic() + CANARY_SECONDS
            if not canary.is_back(self._waiting_for):
                return False
        except (DatabaseError, InterfaceError):
            connection.close()  # it may be broken; without the database nobody can be judged
            return None
        self._waiting_for = None
        return True


def public_url(site: Site) -> str:
    """Return the address under which clients reach the site.

    Without GRIMOIRE_PUBLIC_URL a site of this machine alone is its own address, by plain http.

    Raises:
        AddressError: others can reach it, and nobody said under which address.
    """
    if "GRIMOIRE_PUBLIC_URL" in os.environ:
        return str(settings.PUBLIC_URL)
    if is_loopback(site.host):
        return site.url
    raise AddressError(
        f"{site.host} can be reached from other machines. Say under which address, and that a proxy ends TLS there: "
        "GRIMOIRE_PUBLIC_URL=https://grimoire.example.org GRIMOIRE_BEHIND_PROXY=true (docs/operations.md)."
    )


def whole_site(*, site: Site, workers: int, conductors: int, environment: Mapping[str, str]) -> list[Program]:
    """Return all programs of one machine."""
    return [
        web(site=site, environment=environment),
        cluster(workers=workers, conductors=conductors, environment=environment),
        *(conductor(number=number, environment=environment) for number in range(1, conductors + 1)),
    ]
