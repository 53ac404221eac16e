"""An adapter whose calls are made in a process of their own. That process reads this module, so it imports no more than it needs."""

import atexit
import os
import signal
import sys
import time
from decimal import Decimal
from pathlib import Path

from generations.tools.contract import Adapter, Cost, RemoteFile, Request, Result, ToolError


class Alone(Adapter):
    """Does in its process what its inputs say."""

    key = "test.alone"
    isolated = True

    def run(self, request: Request) -> Result:
        match request.inputs["do"]:
            case "hang":
                Path(request.inputs["pid_file"]).write_text(str(os.getpid()))
                signal.pause()
            case "die":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "raise":
                raise ZeroDivisionError("by zero")
            case "refuse":
                raise ToolError("No.", code="refused", permanent=True, details={"why": object()})
            case "keep":
                sys.stdout.write("noise on standard output\n")
                return Result(output={"file": request.keep(b"made here", mime_type="text/plain")})
            case "leave":
                return Result(output={"file": RemoteFile(url="data:text/plain,made%20there")}, cost=Cost(usd=Decimal(2)))
            case "fork" | "fork away" | "fork and die":
                self.fork(request)
            case "end badly":
                atexit.register(os._exit, 3)
        return Result(output={"pid": os.getpid()})

    def fork(self, request: Request) -> None:
        """Leave a process behind that has all pipes of this one, for as long as it is let."""
        grandchild = os.fork()
        if not grandchild:
            if request.inputs["do"] == "fork away":
                os.setsid()
            signal.pause()
            os._exit(0)
        Path(request.inputs["pid_file"]).write_text(str(grandchild))
        if request.inputs["do"] == "fork and die":
            os.kill(os.getpid(), signal.SIGKILL)

    def file_headers(self, request: Request) -> dict[str, str]:
        """Asked for before files are fetched: what takes long here takes long in the keeping of files."""
        if request.inputs.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(request.inputs.get("seconds", 0.0))
        return {}
