"""The reader of ``text/event-stream``."""

import pytest

from client.sse import Frame, SSEParser

TEXT = ": note\nid: 1-2\nevent: state\ndata: {\ndata: }\r\n\r\ndata: caf\u00e9 \u2028 end\r\rid: 3\n\n".encode()
FRAMES = [Frame("state", "{\n}", "1-2"), Frame("message", "caf\u00e9 \u2028 end", "1-2")]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_do_not_depend_on_how_bytes_arrive(size: int) -> None:
    """Cuts inside a line end or a character change nothing; U+2028 is no line end."""
    parser = SSEParser()
    chunks = [TEXT[start : start + size] for start in range(0, len(TEXT), size)]
    assert [frame for chunk in chunks for frame in parser.feed(chunk)] == FRAMES


def test_unfinished_frame_is_not_dispatched() -> None:
    """A stream that breaks in the middle of an event gives no half event."""
    assert SSEParser().feed(b"data: half\n") == []
