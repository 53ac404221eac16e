"""What cannot be done to a cook as it stands."""


class CookRefusedError(Exception):
    """The cook's status forbids this."""

    def __init__(self, verb: str, status: str, *, what: str = "cook") -> None:
        """Take what was asked for, and where the cook, or `what` else it is, stands."""
        super().__init__(f"A {what} that is {status} cannot be {verb}.")
        self.verb = verb
        self.status = status
