"""The threads on which a conductor runs what blocks: kinds of their own, so that none keeps another waiting."""

from concurrent.futures import ThreadPoolExecutor

# Reading a callback waits for nobody.
READERS = 2
# A mail server takes one mail after the other.
MAILERS = 2
# Exports read files as fast as the disk gives them.
EXPORTERS = 1


class Threads:
    """Threads for calls, polls, callbacks to be read, what else errands ask of providers, mails, and files of exports.

    Calls have lanes, so that none waits here. The others wait for a thread beside their own kind alone. No thread is
    made before there is something for it to do.
    """

    def __init__(self, *, each: int) -> None:
        """Take how many calls, polls and questions of errands may block at once."""
        self.calls = ThreadPoolExecutor(max_workers=each, thread_name_prefix="conductor-call")
        self.polls = ThreadPoolExecutor(max_workers=each, thread_name_prefix="conductor-call-poll")
        self.readers = ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="conductor-call-read")
        self.errands = ThreadPoolExecutor(max_workers=each, thread_name_prefix="conductor-call-errand")
        self.mails = ThreadPoolExecutor(max_workers=MAILERS, thread_name_prefix="conductor-mail")
        self.exports = ThreadPoolExecutor(max_workers=EXPORTERS, thread_name_prefix="conductor-export")

    def shut_down(self) -> None:
        """Start nothing more, and wait for nobody."""
        for kind in (self.calls, self.polls, self.readers, self.errands, self.mails, self.exports):
            kind.shutdown(wait=False, cancel_futures=True)
