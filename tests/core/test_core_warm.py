"""What jobs keep warm for each other."""

from tasks.core.warm import Warm


class Thing:
    def __init__(self, closed: list["Thing"]) -> None:
        self._closed = closed

    def close(self) -> None:
        self._closed.append(self)


def test_thing_is_made_once_and_closed_once() -> None:
    """Whoever asks for a name gets the same thing; after the end, another."""
    closed: list[Thing] = []
    warm = Warm()
    first = warm.get("a", lambda: Thing(closed))
    assert first is warm.get("a", lambda: Thing(closed))
    warm.close()
    warm.close()
    assert [first] == closed
    assert first is not warm.get("a", lambda: Thing(closed))


def test_newest_is_closed_first() -> None:
    """A thing may rest on one that was made before it."""
    closed: list[Thing] = []
    warm = Warm()
    made = [warm.get(name, lambda: Thing(closed)) for name in "abc"]
    warm.close()
    assert made[::-1] == closed
