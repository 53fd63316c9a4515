"""``switchyard calibrate``: what it sends, what it prints for people and for programs, and its exit codes."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.command import main
from tests.client.results import RESULT, STALLED
from tests.client.scripted_server import KEY, ScriptedServer

ROOT = Path(__file__).parents[2]
Command = Callable[..., int]


@pytest.fixture
def switchyard(server: ScriptedServer) -> Command:
    """Run one command against a server whose calibrations are done at once; return its exit code."""
    server.on_submit = lambda job: job.run().succeed(**RESULT)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["--url", server.url, "--key", KEY, "--reconnects", "0", *arguments])
        return int(str(ended.value.code))

    return run


@pytest.fixture
def deaths(tmp_path: Path) -> str:
    """A file of deaths, in the current folder."""
    (tmp_path / "deaths.csv").write_text("cause,count\nmalaria,3\n")
    return "deaths.csv"


def params_of(server: ScriptedServer) -> dict[str, Any]:
    ((_, body),) = server.submits
    params: dict[str, Any] = body["params"]
    return params


def test_a_file_is_sent_with_what_the_options_say(server: ScriptedServer, switchyard: Command, deaths: str) -> None:
    """By the names that the kind has; other inputs by --param."""
    options = ["--age", "child", "--country", "Mali", "--matrices", "a@1", "--type", "fixed", "--param", "draws=500"]
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", *options)
    sent = params_of(server)
    assert ["eava"] == list(sent.pop("va_data"))
    assert {"age_group": "child", "country": "Mali", "matrices": "a@1", "missmat_type": "fixed", "draws": 500} == sent


def test_an_answer_from_an_earlier_job_says_so(
    server: ScriptedServer, switchyard: Command, deaths: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the way to have it computed."""
    mark = {"hit": True, "job": "job-0", "at": "2026-01-01T00:00:00Z"}
    server.on_submit = lambda job: job.run().succeed(**RESULT, cache=mark)
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", "--wait", "5")
    assert "note: answered from job job-0; --param use_cache=false computes it again." in capsys.readouterr().err


def test_several_files_make_an_ensemble(server: ScriptedServer, switchyard: Command, deaths: str) -> None:
    """FILE and --file go together."""
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", "--file", f"interva={deaths}")
    assert ["eava", "interva"] == list(params_of(server)["va_data"])


def test_the_id_alone_is_printed_where_nobody_waits(
    switchyard: Command, deaths: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As submit does."""
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava")
    assert "job-1\n" == capsys.readouterr().out


def test_a_pipe_gets_tabs(switchyard: Command, deaths: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A header, then a line for each fit and cause; no interval is empty, with its reason; notes on stderr."""
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", "--wait", "5")
    told = capsys.readouterr()
    head, *lines = (line.split("\t") for line in told.out.splitlines())
    rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert 6 == len(rows)
    assert ("eava", "malaria", "60.00", "55.00", "65.00") == tuple(
        rows[0][key] for key in ("fit", "cause", "mean_percent", "lower_percent", "upper_percent")
    )
    assert ("", STALLED) == (rows[2]["lower_percent"], rows[2]["reason"])
    assert "note: something a reader must know\n" == told.err


def test_followed_it_shows_events_and_then_the_table(
    switchyard: Command, deaths: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And under --json only JSON."""
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", "--follow")
    out = capsys.readouterr().out
    assert "job-1 succeeded" in out
    assert "eava\tmalaria\t" in out
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", "--follow", "--json")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert RESULT == lines[-1]["record"]["result"]


def test_report_and_figures_are_saved(
    server: ScriptedServer, switchyard: Command, deaths: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both wait for the end by themselves, and say on stderr what they wrote."""
    server.files |= {("job-1", name): name.encode() for name in ("report.html", "figures/a.svg")}
    assert 0 == switchyard("calibrate", deaths, "--algorithm", "eava", "--report", "r.html", "--figures", "pictures")
    assert (b"report.html", b"figures/a.svg") == (Path("r.html").read_bytes(), Path("pictures/a.svg").read_bytes())
    assert {"r.html", "pictures/a.svg"} <= set(capsys.readouterr().err.split())


@pytest.mark.parametrize("form", [["--follow"], ["--wait", "5"], ["--report", "r.html"]])
def test_a_job_that_fails_exits_1_without_a_table(
    server: ScriptedServer, switchyard: Command, deaths: str, capsys: pytest.CaptureFixture[str], form: list[str]
) -> None:
    """Whichever way it was waited for."""
    server.on_submit = lambda job: job.run().fail()
    assert 1 == switchyard("calibrate", deaths, "--algorithm", "eava", *form)
    assert "malaria" not in capsys.readouterr().out
    assert not Path("r.html").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a file of deaths"),
        (["deaths.csv"], "add --algorithm"),
        (["none.csv", "--algorithm", "eava"], "'none.csv' does not exist"),
        (["--algorithm", "eava"], "is about FILE, and there is none"),
        (["--file", "eava"], "expected ALGO=PATH"),
        (["--file", "eava=none.csv"], "none.csv: there is no such file"),
        (["--file", "eava=deaths.csv", "--file", "eava=deaths.csv"], "given twice"),
        (["deaths.csv", "--algorithm", "eava", "--age", "adult"], "'adult' is not one of"),
        (["deaths.csv", "--example"], "give no file beside it"),
        (["deaths.csv", "--algorithm", "eava", "--param", "draws"], "expected key=value"),
    ],
)
def test_wrong_usage_exits_2_with_the_remedy(
    server: ScriptedServer,
    switchyard: Command,
    deaths: str,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    told: str,
) -> None:
    """And nothing is sent."""
    assert 2 == switchyard("calibrate", *arguments)
    assert told in " ".join(capsys.readouterr().err.split())
    assert [] == server.submits


def test_a_terminal_gets_a_table_with_marks(server: ScriptedServer, deaths: str, tmp_path: Path) -> None:
    """Mean % (low, high) by fit; where there is no interval a letter says why."""
    server.on_submit = lambda job: job.run().succeed(**RESULT)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "client.command", "--url", server.url, "--key", KEY]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(
        [*command, "calibrate", deaths, "--algorithm", "eava", "--wait", "10"],
        stdout=theirs,
        stderr=theirs,
        env=environ,
        cwd=tmp_path,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:
            pass  # Linux answers EIO when the other side is gone.
        os.close(ours)
    assert 0 == process.returncode
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert re.search(r"cause\s+eava\s+interva\s+ensemble", text)
    assert re.search(r"malaria\s+60\.0 \(55\.0, 65\.0\)\s+50\.0 \[b\]\s+55\.0 \(50\.0, 60\.0\)", text)
    assert re.search(r"other\s+40\.0 \[a\]\s+50\.0 \[b\]\s+45\.0 \(40\.0, 50\.0\)", text)
    assert "[a] left as observed\r\n" in text
    assert f"[b] {STALLED}" in text
    assert "eava 0.30, interva 0.99" in text
    assert "note: something a reader must know" in text
