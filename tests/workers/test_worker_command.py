"""``python -m workers`` as a person meets it."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tasks.core.ledger import Ledger, queries
from workers.__main__ import main


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SWITCHYARD_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("workers.__main__.configure_logging", lambda _settings: None)
    return tmp_path


def test_unknown_queue_is_refused_with_the_known_ones() -> None:
    """Before anything is started."""
    answer = CliRunner().invoke(main, ["-Q", "ai,crawlr"])
    assert 2 == answer.exit_code
    assert "crawlr" in answer.output
    assert "critical" in answer.output


def test_migrate_brings_the_ledger_up_to_date(state_dir: Path) -> None:
    """Also where starting processes may not."""
    answer = CliRunner().invoke(main, ["migrate"])
    assert (0, "The ledger is up to date.\n") == (answer.exit_code, answer.output)
    ledger = Ledger(f"sqlite:///{state_dir / 'ledger.db'}", auto_migrate=False)
    ledger.prepare()
    assert queries.job(ledger, "none") is None
    ledger.close()


def test_bad_settings_are_listed_without_a_traceback() -> None:
    """Exit code 2, which the supervisor takes for final."""
    answer = subprocess.run(
        [sys.executable, "-m", "workers", "migrate"],
        env={"SWITCHYARD_PORT": "x", "SWITCHYARD_BEAT_S": "99"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert 2 == answer.returncode
    assert ["Refused to start:", "SWITCHYARD_PORT", "SWITCHYARD_BEAT_S"] == [
        line.partition(": ")[0] for line in answer.stderr.splitlines()
    ]
