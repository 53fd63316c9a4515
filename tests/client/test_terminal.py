"""The command as its own process: on a terminal, and interrupted."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.client.scripted_server import KEY, ScriptedServer

ROOT = Path(__file__).parents[2]


def command(server: ScriptedServer, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "client.command", "--url", server.url, "--key", KEY, *arguments]


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "160"}


def play_slowly(server: ScriptedServer) -> None:
    job = server.jobs["job-1"]
    job.append("state", state="running", cause="claimed")
    for step in range(1, 9):
        time.sleep(0.15)
        job.append("progress", percent=step * 12.5, stage="pages", step=step, total=8, message=f"http://a/{step}")
    job.succeed(pages=8)


def test_terminal_gets_a_bar_with_done_rate_and_message(server: ScriptedServer) -> None:
    """On a pseudo-terminal the bar moves and the end is told."""
    server.job()
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command(server, "watch", "job-1"), stdout=theirs, stderr=theirs, env=environment()
    ) as process:
        os.close(theirs)
        player = threading.Timer(1.0, play_slowly, [server])
        player.start()
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:
            pass  # Linux answers EIO when the other side is gone.
        os.close(ours)
        player.join()
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())
    assert process.returncode == 0
    assert re.search(r"pages .*[━╸╺]+ .*\d/8 .*/s .*eta .*http://a/\d", text)
    assert "job-1 succeeded attempt 1 (completed) in 0.2 s" in text


def test_interrupted_follower_says_that_the_job_goes_on(server: ScriptedServer) -> None:
    """Ctrl-C ends the watching with 130, not the job."""
    arguments = command(server, "submit", "crawling.site", "--follow")
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
    ) as process:
        while not server.open_requests["sse"]:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=10)
    assert (process.returncode, server.jobs["job-1"].record["state"]) == (130, "queued")
    assert error == "stopped waiting; job job-1 goes on. To stop it: switchyard cancel job-1\n"
