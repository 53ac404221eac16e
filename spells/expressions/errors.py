"""What may be wrong with an expression."""

_MAX_CHARS = 500


class ExpressionError(Exception):
    """An expression that cannot be read or has no value. `path` is its place, `message` what is wrong."""

    def __init__(self, message: str, *, path: str) -> None:
        """Take the message for whoever wrote the expression, and the place, like `steps.art.params.prompt`."""
        # names in it are as long as whoever wrote them chose
        self.message = message if len(message) <= _MAX_CHARS else f"{message[:_MAX_CHARS]}…"
        self.path = path
        super().__init__(f"{path}: {self.message}")


class EvaluationError(Exception):
    """Part of an expression has no value. Inside this package; outside, it is an `ExpressionError` with its place."""


class MissingError(EvaluationError):
    """Part of an expression names something that is not there. `default` stands in for it."""
