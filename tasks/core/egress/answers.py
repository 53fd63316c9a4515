"""What a download brings: the head of an answer, and its body."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Head:
    """Status and header fields, in order; names are in lower case."""

    status: int
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Return a field's value; of one that comes several times all, separated by commas; empty where there is none.

        Args:
            name: in lower case.
        """
        return ", ".join(self.all(name))

    def all(self, name: str) -> list[str]:
        """Return each value of a field, in order."""
        return [value for field, value in self.fields if field == name]


@dataclass(frozen=True, slots=True)
class Answer:
    """The end of a download.

    Attributes:
        body: decoded from any content encoding; no more of it than was wanted.
        is_cut: whether there was more.
    """

    head: Head
    body: bytes
    is_cut: bool


Wants = Callable[[Head], int]
"""Says, by the head, how many bytes of the decoded body are wanted."""
