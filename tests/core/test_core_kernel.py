"""Opening what a process needs, and how its log lines look."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tasks.core.errors import ConfigurationRefused
from tasks.core.kernel import open_kernel
from tasks.core.ledger import queries
from tasks.core.log import configure_logging
from tasks.core.setting_values import LogFormat
from tasks.core.settings import Settings


@pytest.fixture
def logging_restored() -> Iterator[None]:
    """Give the process's logging back as it was."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def test_kernel_opens_on_an_empty_folder(tmp_path: Path) -> None:
    """The ledger is made and migrated; nothing is asked of Redis."""
    kernel = open_kernel(Settings(state_dir=tmp_path / "new", redis_url="redis://127.0.0.1:1/0"))
    assert queries.job(kernel.ledger, "none") is None
    assert kernel.artifacts.folder("job", 1) == tmp_path / "new" / "artifacts" / "job" / "1"
    kernel.close()


def test_kernel_refuses_tables_it_may_not_migrate(tmp_path: Path) -> None:
    """The process does not start half."""
    with pytest.raises(ConfigurationRefused):
        open_kernel(Settings(state_dir=tmp_path, auto_migrate=False))


def test_log_line_is_one_json_object(capsys: pytest.CaptureFixture[str], logging_restored: None) -> None:
    """Ours and the libraries', with level, time, logger and what the context knows; nothing below the level."""
    configure_logging(Settings(log_format=LogFormat.JSON))
    with structlog.contextvars.bound_contextvars(correlation_id="c-1"):
        structlog.get_logger("ours").info("page_fetched", url="x")
        logging.getLogger("theirs").warning("said %s", "so")
    structlog.get_logger("ours").debug("unseen")
    logging.getLogger("httpx").info("unseen")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("page_fetched", "info", "ours", "c-1"), ("said so", "warning", "theirs", "c-1")] == [
        (line["event"], line["level"], line["logger"], line["correlation_id"]) for line in lines
    ]
    assert {True} == {line["timestamp"].endswith("Z") for line in lines}


def test_traceback_stays_within_its_line(capsys: pytest.CaptureFixture[str], logging_restored: None) -> None:
    """One event, one line, also for a bug."""
    configure_logging(Settings(log_format=LogFormat.JSON))
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        structlog.get_logger().exception("broke")
    (line,) = capsys.readouterr().out.splitlines()
    assert "ZeroDivisionError: by zero" in json.loads(line)["exception"]


def test_console_lines_are_for_reading(capsys: pytest.CaptureFixture[str], logging_restored: None) -> None:
    """No colours where no terminal is."""
    configure_logging(Settings(log_format=LogFormat.CONSOLE))
    structlog.get_logger().info("page_fetched", url="x")
    out = capsys.readouterr().out
    assert "page_fetched" in out
    assert "url=x" in out
    assert "\x1b" not in out
