import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, NoReturn

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from casts.conductor import Conductor
from casts.conductor.pace import Pace
from casts.management.teaching import TeachingCommand, seconds, whole_number

# How long the end may take beyond the grace before the kernel ends us: a loop that hangs cannot.
LAST_SECONDS = 15.0
LEAVING_SECONDS = 1.0
# Some send a signal to us and then to our group: that is not the second thought of a person.
SAME_SIGNAL_SECONDS = 1.0


class Command(TeachingCommand):
    help = "Conduct casts until SIGTERM: claim those that are due, make their calls, settle what comes back."
    examples = """\
Run as many as you like, on any machine that reaches the database and the artefacts. SIGTERM stops claiming, lets calls
that are in flight end within the grace, and hands the rest back to other conductors; a second one ends at once.

examples:
  manage.py conduct
  manage.py conduct --threads 16          more calls of blocking tools at once
  manage.py conduct --grace 120           tools whose calls take minutes
"""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--threads",
            type=whole_number(least=1, most=1000),
            default=8,
            metavar="N",
            help="Calls of blocking tools at once (default: 8).",
        )
        parser.add_argument(
            "--coroutines",
            type=whole_number(least=1, most=100_000),
            default=1000,
            metavar="N",
            help="Calls of asynchronous tools at once (default: 1000).",
        )
        parser.add_argument(
            "--grace", type=seconds, default=20.0, metavar="S", help="Seconds that calls may go on after SIGTERM (default: 20)."
        )

    def handle(self, *, threads: int, coroutines: int, grace: float, **_options: Any) -> None:
        gc.freeze()  # what was imported stays: to look through it each time took 8 % of what conducting computes
        try:
            asyncio.run(self._conduct(threads=threads, coroutines=coroutines, grace=grace))
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"The database cannot be reached: {error}") from error
        self.stdout.write("The conductor has stopped.")
        if _calls_are_stuck():
            # Their casts are handed back; Python would wait for these threads without end.
            self.stderr.write("Calls that did not end within the grace are left behind.")
            leave_at_once(0)

    async def _conduct(self, *, threads: int, coroutines: int, grace: float) -> None:
        conductor = Conductor(pace=Pace.of_settings(grace=grace), threads=threads, coroutines=coroutines)
        loop = asyncio.get_running_loop()

        asked_at: list[float] = []

        def stop() -> None:
            asked_at.append(time.monotonic())
            if asked_at[-1] - asked_at[0] > SAME_SIGNAL_SECONDS:
                leave_at_once(1)
            signal.setitimer(signal.ITIMER_REAL, grace + LAST_SECONDS)
            conductor.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        greeting = asyncio.create_task(self._greet(conductor))
        try:
            await conductor.run()
        finally:
            greeting.cancel()

    async def _greet(self, conductor: Conductor) -> None:
        await conductor.ready.wait()
        self.stdout.write(f"The conductor is ready (process {os.getpid()}).")
        self.stdout.flush()


def _calls_are_stuck() -> bool:
    """Tell whether calls go on in threads, after a moment in which the idle ones leave."""
    give_up_at = time.monotonic() + LEAVING_SECONDS
    calls = [thread for thread in threading.enumerate() if thread.name.startswith("conductor-call")]
    for thread in calls:
        thread.join(max(0.0, give_up_at - time.monotonic()))
    return any(thread.is_alive() for thread in calls)


def leave_at_once(code: int) -> NoReturn:
    """End the process without waiting for its threads, and with all that it said."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
