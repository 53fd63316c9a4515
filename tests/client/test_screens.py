"""Plain lines for pipes, and the bar of a terminal."""

from io import StringIO

import pytest
from rich.console import Console

from client import Event
from client.command.screens import BarScreen, PlainScreen


def event(type_: str, **data: object) -> Event:
    return Event(type=type_, job_id="job-1", attempt=1, data=data)


def test_pipe_gets_one_progress_line_a_second_and_always_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred reports in a moment are two lines: the first, and the newest before what comes next."""
    screen = PlainScreen()
    for step in range(1, 101):
        screen.show(event("progress", percent=step, stage="pages", step=step, total=100, message=f"page {step}"))
    screen.show(event("state", state="succeeded", cause="completed"))
    assert capsys.readouterr().out.splitlines() == [
        "pages 1/100 1% page 1",
        "pages 100/100 100% page 100",
        "job-1 succeeded attempt 1 (completed)",
    ]


def test_control_characters_of_a_log_line_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """A crawled page cannot retitle or clear the reader's terminal."""
    PlainScreen().show(event("log", level="info", line="title \x1b]0;owned\x07\x9b2J"))
    assert capsys.readouterr().out == "info: title  ]0;owned  2J\n"


def test_a_bar_that_counts_on_is_not_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that share one count move one bar; a stage with a count of its own begins at what it has."""
    monkeypatch.setenv("TERM", "xterm")
    out = StringIO()
    with BarScreen(Console(file=out, force_terminal=True, width=120)) as screen:
        screen.show(event("progress", percent=40, stage="fit", step=40, total=100, message=""))
        screen.show(event("progress", percent=85, stage="figures", step=85, total=100, message=""))
        screen.show(event("progress", percent=50, stage="pages", step=3, total=6, message=""))
    shown = out.getvalue()
    assert "3/6" in shown
    assert "m0/" not in shown
