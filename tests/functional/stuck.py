"""A tool whose calls never end."""

import os
import threading
from pathlib import Path
from typing import ClassVar

from generations.tools.contract import Adapter, Request, Result


class Stuck(Adapter):
    """Says that it was called, and does not return."""

    key: ClassVar[str] = "test.stuck"

    def run(self, request: Request) -> Result:
        Path(os.environ["GRIMOIRE_DATA_DIR"], "stuck").touch()
        threading.Event().wait()
        raise AssertionError("It never gets here.")
