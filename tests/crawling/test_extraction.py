"""The processes that read pages."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from tasks.crawling.engine.extraction import Extraction, ExtractionFailed
from tasks.crawling.engine.page import parse_page, read_outline, read_text
from tasks.crawling.engine.page_content import MainText, Outline
from tests.crawling.local_site import html
from tests.samples import children, eventually

URL = "https://example.org/x"


def with_extraction(
    work: Callable[[Extraction], Awaitable[None]], *, processes: int = 1, limit_s: float = 30.0
) -> None:
    async def run() -> None:
        async with Extraction(processes=processes, page_limit_s=limit_s) as extraction:
            await work(extraction)

    asyncio.run(run())


def here(body: bytes, url: str) -> tuple[Outline, MainText]:
    tree = parse_page(body, charset=None)
    return read_outline(tree, url=url), read_text(tree, url=url)


async def read(extraction: Extraction, *, body: bytes | None = None, url: str = URL) -> tuple[Outline, MainText]:
    outlines: list[Outline] = []
    page = html("/x") if body is None else body
    outline, main = await extraction.read(page, url=url, charset=None, on_outline=outlines.append)
    assert [outline] == outlines
    return outline, main


def readers() -> list[psutil.Process]:
    return children("extraction_process")


def reader() -> psutil.Process:
    assert eventually(lambda: len(readers()) == 1)
    return readers()[0]


def test_process_reads_what_the_function_reads() -> None:
    """Several pages at once, over two processes, each with its own answer."""
    bodies = {f"{URL}{n}": html(f"/x{n}", f"/link{n}") for n in range(6)}

    async def work(extraction: Extraction) -> None:
        found = await asyncio.gather(*(read(extraction, body=body, url=url) for url, body in bodies.items()))
        assert [here(body, url) for url, body in bodies.items()] == found
        assert eventually(lambda: len(readers()) == 2)

    with_extraction(work, processes=2)
    assert readers() == []


def test_death_of_the_process_costs_one_page() -> None:
    """The next page is read by a new one."""

    async def work(extraction: Extraction) -> None:
        await read(extraction)
        reader().kill()
        with pytest.raises(ExtractionFailed, match="died"):
            await read(extraction)
        assert (await read(extraction))[0].title == "Page /x"

    with_extraction(work)


def test_page_that_waits_behind_the_one_that_kills_is_read_by_the_next_process() -> None:
    """It was sent already, and its answer is its own."""

    async def work(extraction: Extraction) -> None:
        stopped = reader()
        stopped.send_signal(signal.SIGSTOP)
        pages = [asyncio.create_task(read(extraction, body=html(f"/x{n}"), url=f"{URL}{n}")) for n in range(3)]
        await asyncio.sleep(0.1)
        stopped.kill()
        first, *others = await asyncio.gather(*pages, return_exceptions=True)
        assert isinstance(first, ExtractionFailed)
        assert others == [here(html(f"/x{n}"), f"{URL}{n}") for n in (1, 2)]

    with_extraction(work)


def test_page_that_takes_too_long_fails_alone() -> None:
    """Its process is killed and replaced."""

    async def work(extraction: Extraction) -> None:
        stopped = reader()
        stopped.send_signal(signal.SIGSTOP)
        with pytest.raises(ExtractionFailed, match=r"over 0\.1 s"):
            await read(extraction)
        assert not stopped.is_running()
        # A process that was just started shows no command line for a moment.
        assert eventually(lambda: len(readers()) == 1)

    with_extraction(work, limit_s=0.1)


def test_cancelled_reading_leaves_no_process() -> None:
    """However it ends, nothing stays behind."""

    async def work(extraction: Extraction) -> None:
        reader().send_signal(signal.SIGSTOP)
        task = asyncio.create_task(read(extraction))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with_extraction(work)
    assert readers() == []


def test_process_reads_where_its_way_of_scheduling_is_forbidden() -> None:
    """A sandbox may forbid it; here the call is refused as one does."""
    program = (
        "import errno, os\n"
        "def refuse(*_): raise PermissionError(errno.EPERM, 'refused')\n"
        "os.sched_setscheduler = refuse\n"
        "from tasks.crawling.engine import extraction_process\n"
        "extraction_process.main()\n"
    )
    subprocess.run([sys.executable, "-c", program], stdin=subprocess.DEVNULL, check=True, timeout=60)


def test_process_ends_with_whoever_started_it(tmp_path: Path) -> None:
    """A killed crawler leaves no reader behind: the pipe ends, and so does the process."""
    program = (
        "import asyncio, os, signal\n"
        "from tasks.crawling.engine.extraction import Extraction\n"
        "async def main():\n"
        "    async with Extraction(processes=1) as e:\n"
        "        await e.read(b'<p>x', url='http://x/', charset=None, on_outline=print)\n"
        "        print('pid', next(iter(e._alive)).pid, flush=True)\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    reader = int(done.stdout.split("pid")[1])
    if psutil.pid_exists(reader):
        psutil.Process(reader).wait(timeout=5)
