"""What may be wrong with an expression."""


class ExpressionError(Exception):
    """An expression that cannot be read or has no value. `path` is its place, `message` what is wrong."""

    def __init__(self, message: str, *, path: str) -> None:
        """Take the message for whoever wrote the expression, and the place, like `steps.art.params.prompt`."""
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class EvaluationError(Exception):
    """Part of an expression has no value. Inside this package; outside, it is an `ExpressionError` with its place."""


class MissingError(EvaluationError):
    """Part of an expression names something that is not there. `default` stands in for it."""
