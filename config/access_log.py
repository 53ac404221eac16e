"""What the web process writes of its requests. `uvicorn_logs.json` names it to uvicorn."""

import logging

PROBES = ("/healthz", "/readyz")
BAD_REQUEST = 400


class WithoutProbes(logging.Filter):
    """Leaves out that somebody asked for our health and was told that it is good, which happens every few seconds."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Read uvicorn's arguments: client, method, path, HTTP version, status."""
        match record.args:
            case (_, _, str(path), _, int(status)):
                return path not in PROBES or status >= BAD_REQUEST
            case _:
                return True
