"""What a flow may ask of the outside world. Flows never do I/O: a blocking and an asyncio shell perform their steps.

A flow is a generator: it yields a step, is sent that step's reply, and returns what the caller gets. A failed step is
raised into the flow as ``ConnectionFailed``. So every rule about retries, waiting and resuming exists once.
"""

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar, cast

from client.errors import ConnectionFailed

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, before an address and a key are added."""

    method: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def json(self) -> Any:
        """Return the decoded body.

        Raises:
            ConnectionFailed: it is not JSON, so whoever answered is not Switchyard.
        """
        try:
            return json.loads(self.body)
        except ValueError as exc:
            raise ConnectionFailed("the answer is not JSON: is this the address of a Switchyard server?") from exc

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Exchange:
    """Send a request; the reply is its ``Answer``."""

    request: Request
    connect_s: float
    read_s: float


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Open the channel as a streamed response; the reply is its ``Answer``, without a body when it is a 200."""

    request: Request
    connect_s: float
    read_s: float


@dataclass(frozen=True, slots=True)
class ReadChunk:
    """Read from the opened stream; the reply is bytes, empty at its end."""


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """Open the channel as a WebSocket; the reply is an ``Answer`` with status 101, or with the refusal."""

    request: Request
    connect_s: float


@dataclass(frozen=True, slots=True)
class ReadFrame:
    """Read one text frame; the reply is a str, or an int: the code the socket was closed with."""

    read_s: float


@dataclass(frozen=True, slots=True)
class SendFrame:
    """Send one text frame."""

    text: str


@dataclass(frozen=True, slots=True)
class CloseChannel:
    """Close what ``OpenStream`` or ``OpenSocket`` opened, if anything is open."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Notice:
    """Tell the caller's ``on_notice`` about the connection."""

    name: Literal["connected", "disconnected", "reconnected", "retrying", "refused", "local"]
    detail: str = ""
    transport: str | None = None
    attempt: int = 0


Step: TypeAlias = Exchange | OpenStream | ReadChunk | OpenSocket | ReadFrame | SendFrame | CloseChannel | Pause | Notice
Reply: TypeAlias = Answer | bytes | str | int | None
Flow: TypeAlias = Generator[Step, Reply, T]


def answered(step: Exchange | OpenStream | OpenSocket) -> Flow[Answer]:
    """Perform a step whose reply is an answer."""
    return cast("Answer", (yield step))
