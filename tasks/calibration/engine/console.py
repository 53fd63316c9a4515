"""What R prints: fragments joined to lines, and lines told apart from reports of progress."""

from collections.abc import Callable
from typing import Protocol

PROGRESS = "::progress "


class Listener(Protocol):
    """Hears of a run while it goes on; called only from the job's own thread."""

    def line(self, line: str, *, is_error: bool) -> None:
        """Take one line that R printed."""

    def progress(self, stage: str, done: int, total: int, fit: str) -> None:
        """Take word of how far the work is."""


class Lines:
    """Joins the fragments of one stream to lines; both kinds of line end are understood."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._rest = ""

    def feed(self, text: str) -> None:
        """Add a fragment; whole lines are passed on."""
        *lines, self._rest = (self._rest + text.replace("\r\n", "\n")).split("\n")
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """Pass on what has no line end."""
        rest, self._rest = self._rest, ""
        if rest:
            self._take(rest)


class Console:
    """R's two streams, as they come."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.output = Lines(self._take)
        self.errors = Lines(lambda line: self._pass_on(line, is_error=True))

    def close(self) -> None:
        """Pass on unfinished lines."""
        self.output.close()
        self.errors.close()

    def _take(self, line: str) -> None:
        words = line.removeprefix(PROGRESS).split(" ") if line.startswith(PROGRESS) else []
        if len(words) == 4 and words[1].isdecimal() and words[2].isdecimal():
            self._listener.progress(words[0], int(words[1]), int(words[2]), words[3])
        else:
            self._pass_on(line, is_error=False)

    def _pass_on(self, line: str, *, is_error: bool) -> None:
        if line.strip():
            self._listener.line(line.rstrip(), is_error=is_error)
