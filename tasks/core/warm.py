"""What one job of a process leaves open for the next: a browser, a model."""

from collections.abc import Callable
from typing import Protocol, TypeVar, cast


class Closable(Protocol):
    """Owned here, hence closed here."""

    def close(self) -> None:
        """Give everything back."""


T = TypeVar("T", bound=Closable)


class Warm:
    """Each thing is made when the first job asks for it, by the thread that runs jobs, and closed with the process."""

    def __init__(self) -> None:
        self._things: dict[str, Closable] = {}

    def get(self, name: str, make: Callable[[], T]) -> T:
        """Return the thing called ``name``, made by ``make`` if there is none yet."""
        if name not in self._things:
            self._things[name] = make()
        return cast(T, self._things[name])

    def close(self) -> None:
        """Close everything, the newest first; what is asked for later is made anew."""
        while self._things:
            _, thing = self._things.popitem()
            thing.close()
