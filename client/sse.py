"""Reading ``text/event-stream`` (WHATWG HTML, section 9.2.6) from bytes as they come."""

import codecs
import re
from dataclasses import dataclass, field

# Only these three end a line; str.splitlines() would also cut at U+2028 inside a JSON string.
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class Frame:
    """One dispatched event: its type, data and the last id seen."""

    event: str
    data: str
    id: str | None


@dataclass(slots=True)
class SSEParser:
    """Feed it chunks; it returns the frames that they complete. Comments and unknown fields are dropped."""

    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8-sig")("replace")
    )
    _rest: str = ""
    _event: str = ""
    _data: list[str] = field(default_factory=list)
    _id: str | None = None

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take bytes, cut anywhere; return the frames that are whole now."""
        text = self._rest + self._decoder.decode(chunk)
        # A carriage return at the end may be half of a line end that is still coming.
        held = "\r" if text.endswith("\r") else ""
        *lines, rest = _LINE_END.split(text.removesuffix(held))
        self._rest = rest + held
        return [frame for line in lines if (frame := self._take(line))]

    @property
    def last_id(self) -> str | None:
        """The id that was seen last, with an event or without."""
        return self._id

    def _take(self, line: str) -> Frame | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> Frame | None:
        frame = Frame(self._event or "message", "\n".join(self._data), self._id) if self._data else None
        self._event, self._data = "", []
        return frame
