"""What R prints, and how it fails, by both ways to R; R is given other code than ours."""

import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tasks.calibration.engine.bridge import Run
from tasks.calibration.engine.console import Console, Lines
from tasks.calibration.engine.embedded import _start, run_embedded
from tasks.calibration.engine.rscript import run_rscript
from tasks.core.errors import JobCancelled, Permanent, Transient
from tests.calibration.r_library import built_library

pytestmark = [pytest.mark.xdist_group("r")]

BRIDGES = {"rpy2": run_embedded, "rscript": run_rscript}


class Ears:
    """Hears everything, with the time of each line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, bool]] = []
        self.times: list[float] = []
        self.reports: list[tuple[str, int, int, str]] = []

    def line(self, line: str, *, is_error: bool) -> None:
        self.lines.append((line, is_error))
        self.times.append(time.monotonic())

    def progress(self, stage: str, done: int, total: int, fit: str) -> None:
        self.reports.append((stage, done, total, fit))


def run(bridge: str, code: str, folder: Path, checkpoint: Any = lambda: None) -> Ears:
    ears = Ears()
    given = f"function(library, folder) {{ options(warn = 1); {code} }}"
    BRIDGES[bridge](Run(built_library(), folder, Console(ears), checkpoint, given))
    return ears


def test_fragments_become_lines() -> None:
    """Whatever the pieces, each line arrives once and whole."""
    lines: list[str] = []
    joined = Lines(lines.append)
    for fragment in ("on", "e\ntw", "o\r\n", "", "thr", "ee"):
        joined.feed(fragment)
    assert ["one", "two"] == lines
    joined.close()
    assert ["one", "two", "three"] == lines


@pytest.mark.parametrize("bridge", BRIDGES)
def test_both_streams_are_told_apart(bridge: str, tmp_path: Path) -> None:
    """Lines, warnings, progress, and a rest without a line end."""
    code = 'cat("line", 1, "\\n"); message("careful"); warning("odd"); cat("::progress fit 3 10 one\\n"); cat("rest")'
    ears = run(bridge, code, tmp_path)
    assert {("line 1", False), ("careful", True), ("rest", False)} <= set(ears.lines)
    assert any("odd" in line and is_error for line, is_error in ears.lines)
    assert [("fit", 3, 10, "one")] == ears.reports


@pytest.mark.parametrize("bridge", BRIDGES)
def test_lines_arrive_while_r_works(bridge: str, tmp_path: Path) -> None:
    """Not all at the end."""
    code = 'for (i in 1:3) { cat("tick\\n"); flush(stdout()); Sys.sleep(0.4) }'
    ears = run(bridge, code, tmp_path)
    assert 0.4 < ears.times[-1] - ears.times[0]


@pytest.mark.parametrize("bridge", BRIDGES)
def test_an_error_comes_with_rs_words(bridge: str, tmp_path: Path) -> None:
    """And R can be used again."""
    with pytest.raises(Permanent, match=r"R stopped: .*no such thing"):
        run(bridge, 'stop("no such thing")', tmp_path)
    assert [("fine", False)] == run(bridge, 'cat("fine\\n")', tmp_path).lines


@pytest.mark.parametrize("bridge", BRIDGES)
def test_running_out_of_memory_has_its_own_code(bridge: str, tmp_path: Path) -> None:
    """R's own error for an allocation that no machine can serve."""
    with pytest.raises(Transient) as refused:
        run(bridge, "invisible(numeric(1e15))", tmp_path)
    assert "out_of_memory" == refused.value.code


def test_a_crash_of_a_process_of_its_own_names_the_signal(tmp_path: Path) -> None:
    """A crash would come again; whoever killed R may not."""
    with pytest.raises(Permanent, match=r"R crashed \(SIGSEGV"):
        run("rscript", "tools::pskill(Sys.getpid(), 11)", tmp_path)
    with pytest.raises(Transient, match=r"killed from outside \(SIGKILL"):
        run("rscript", "tools::pskill(Sys.getpid(), 9)", tmp_path)


def test_what_r_started_ends_with_it(tmp_path: Path) -> None:
    """Its own children too, a compiler for example."""
    is_cancelled = threading.Event()

    def checkpoint() -> None:
        if is_cancelled.is_set():
            raise JobCancelled

    threading.Timer(1.0, is_cancelled.set).start()
    with pytest.raises(JobCancelled):
        run("rscript", 'system("exec sleep 7301")', tmp_path, checkpoint)
    assert not [process for process in psutil.process_iter(["cmdline"]) if "7301" in (process.info["cmdline"] or [])]


@pytest.mark.parametrize(
    ("bridge", "code"),
    [("rpy2", "repeat {}"), ("rpy2", "Sys.sleep(60)"), ("rscript", "repeat {}"), ("rscript", "Sys.sleep(60)")],
)
def test_a_busy_r_is_stopped(bridge: str, code: str, tmp_path: Path) -> None:
    """Whatever it does, also where it waits; and it can be used again."""
    is_cancelled = threading.Event()

    def checkpoint() -> None:
        if is_cancelled.is_set():
            raise JobCancelled

    threading.Timer(0.7, is_cancelled.set).start()
    began = time.monotonic()
    with pytest.raises(JobCancelled):
        run(bridge, code, tmp_path, checkpoint)
    assert time.monotonic() - began < 30
    assert [("fine", False)] == run(bridge, 'cat("fine\\n")', tmp_path).lines


def test_a_start_of_r_that_fails_leaves_python_its_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python looks for it once; the job's own would be gone when the next one starts R."""
    monkeypatch.setattr(tempfile, "tempdir", None)

    def initr(*, interactive: bool) -> None:
        tempfile.gettempdir()
        raise InterruptedError(interactive)

    with pytest.raises(InterruptedError):
        _start(SimpleNamespace(initr=initr), SimpleNamespace(set_initoptions=lambda _: None), tmp_path)
    assert str(tmp_path) != tempfile.gettempdir()
