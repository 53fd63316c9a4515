"""The process that reads pages: ``python -m tasks.crawling.engine.extraction_process``.

Speaks frames over its standard input and output, each a 4-byte length (network order) and so many bytes. A job is two
frames: JSON ``{"url", "charset"}``, and the body. Its answer is two: the fields of ``Outline`` and those of
``MainText``, as JSON and not as pickles, because hostile HTML is read here. Ends when its input ends, so it never
outlives whoever started it for long.
"""

import gc
import json
import os
import resource
import struct
import sys
from contextlib import suppress
from dataclasses import fields
from typing import BinaryIO

from tasks.crawling.engine.page import parse_page, read_outline, read_text
from tasks.crawling.engine.page_content import MainText, Outline

# A hostile page may end this process, not the machine.
MEMORY_LIMIT_BYTES = 3 * 2**30
PAGES_BETWEEN_COLLECTIONS = 50


def main() -> None:
    """Answer jobs until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    jobs = sys.stdin.buffer
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that a library prints may get between the frames
    # Its share of the processor stays the same, but a page that arrives does not push aside whoever fetches the next.
    if hasattr(os, "SCHED_BATCH"):
        with suppress(OSError):  # a sandbox may forbid it; then pages are only read a little less politely
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    # Next to nothing that reading makes refers to itself, while it makes so much that looking for it takes a fifth of
    # the time.
    gc.disable()
    pages = 0
    while (head := _read_frame(jobs)) is not None:
        body = _read_frame(jobs)
        if body is None:
            return
        job = json.loads(head)
        tree = parse_page(body, charset=job["charset"])
        _answer(answers, read_outline(tree, url=job["url"]))
        _answer(answers, read_text(tree, url=job["url"]))
        del tree, body
        pages += 1
        if pages % PAGES_BETWEEN_COLLECTIONS == 0:
            gc.collect()


def _read_frame(stream: BinaryIO) -> bytes | None:
    prefix = stream.read(4)
    if len(prefix) < 4:
        return None
    (size,) = struct.unpack("!I", prefix)
    frame = stream.read(size)
    return frame if len(frame) == size else None


def _answer(stream: BinaryIO, content: Outline | MainText) -> None:
    # Not ``asdict``, which copies all that is within.
    frame = json.dumps({field.name: getattr(content, field.name) for field in fields(content)}).encode()
    stream.write(struct.pack("!I", len(frame)) + frame)
    stream.flush()


if __name__ == "__main__":
    main()
