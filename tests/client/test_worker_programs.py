"""The plan of managed workers, and supervisord's file; and what is refused before anything is started."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from client.command import main
from client.command.session import Session
from client.command.workers import _counted
from client.errors import ConfigurationRefused
from client.worker_logs import KEPT_S, remove_old
from client.worker_processes import DEFAULT_DRAIN_GRACE_S, DEFAULT_REDIS_URL, WorkerProcess, WorkerProcesses
from client.worker_programs import QUEUES, Plan, configuration, counts_of
from tasks.core.settings import Settings
from tasks.core.spec import Queue
from tests.client.scripted_server import KEY, ScriptedServer
from tests.servers import free_port

Command = Callable[..., int]


@pytest.fixture
def switchyard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run ``switchyard workers …`` for a state folder; return its exit code."""
    monkeypatch.setenv("SWITCHYARD_STATE_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["workers", *arguments])
        return int(str(ended.value.code))

    return run


def test_supervisord_reads_what_is_planned(tmp_path: Path) -> None:
    """Its own parser: names, commands, and how a worker is stopped; paths that it would misread are refused."""
    folder = tmp_path / "a b"
    folder.mkdir()
    plan = Plan({"crawler": 2, "ai": 1, "voice": 0}, str(folder), grace_s=45.0, start_s=5)
    written = folder / "supervisord.conf"
    written.write_text(configuration(plan, folder=folder, socket=folder / "s.sock", logs=folder))
    options = ServerOptions()
    options.realize(["-c", str(written)])
    programs = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert ["ai-1", "crawler-1", "crawler-2"] == sorted(programs)
    crawler = programs["crawler-2"]
    assert crawler.command.endswith(" -m celery -A tasks worker -Q crawler")
    assert (str(folder), 45, 5) == (crawler.directory, crawler.stopwaitsecs, crawler.startsecs)
    assert (False, True, [2]) == (crawler.stopasgroup, crawler.killasgroup, crawler.exitcodes)
    assert str(folder / "worker-crawler-2.log") == crawler.stdout_logfile
    for name in ("a ;b", "50%", "a\nb"):
        with pytest.raises(ConfigurationRefused, match="takes no path"):
            configuration(plan, folder=tmp_path / name, socket=folder / "s.sock", logs=folder)


def test_counts_are_read_by_queue() -> None:
    """A queue alone is one worker."""
    assert {"crawler": 3, "ai": 1, "voice": 0} == counts_of(["crawler=3", "ai", "voice=0"])
    assert {} == counts_of([])


@pytest.mark.parametrize("given", ["pages=1", "crawler=", "crawler=-1", "crawler=65", "crawler=²", "crawler=1.5", "=1"])
def test_other_counts_are_refused(given: str, switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """With what would be right."""
    assert 2 == switchyard("start", given)
    assert f"error: configuration_refused: {given}: " in capsys.readouterr().err


def test_plan_is_kept_for_the_next_command(tmp_path: Path) -> None:
    """As it was; a file of somebody else's is refused."""
    plan, path = Plan({"ai": 1}, "/x", grace_s=45.0, start_s=5), tmp_path / "plan.json"
    assert Plan.read(path) is None
    path.write_text(plan.written())
    assert plan == Plan.read(path)
    path.write_text("[]")
    with pytest.raises(ConfigurationRefused, match="remove it"):
        Plan.read(path)


def test_where_nothing_runs_little_can_be_done(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Status and stop say so; scale and a start without Redis are refused, and begin nothing."""
    assert (0, 0) == (switchyard("status"), switchyard("stop"))
    assert "no workers run here\nnothing ran\n" == capsys.readouterr().out
    assert 0 == switchyard("status", "--json")
    assert {"workers": []} == json.loads(capsys.readouterr().out)
    assert (2, 2) == (switchyard("scale", "ai=1"), switchyard("start", "ai"))
    told = capsys.readouterr().err
    assert "`switchyard workers start` first" in told
    assert "Redis does not listen at 127.0.0.1:" in told


def test_old_logs_go_but_not_those_that_are_written(tmp_path: Path) -> None:
    """What was put aside by a worker that runs goes too, and nothing that is no worker's."""
    names = (
        "worker-ai-1.log",
        "worker-ai-1.log.3",
        "worker-voice-2.log",
        "worker-ai-2.log",
        "supervisord.log",
        "web.log",
    )
    for name in names:
        (tmp_path / name).write_text(name)
        if name != "worker-ai-2.log":
            os.utime(tmp_path / name, (time.time() - KEPT_S - 60,) * 2)
    removed = remove_old(tmp_path, in_use={"ai-1"})
    assert ["worker-ai-1.log.3", "worker-voice-2.log"] == [path.name for path in removed]
    assert set(names) - {path.name for path in removed} == {path.name for path in tmp_path.iterdir()}
    assert [] == remove_old(tmp_path / "missing", in_use=())


def test_processes_are_told_with_the_jobs_of_their_queue_where_a_server_answers(server: ScriptedServer) -> None:
    """And without, where none does: what runs here is known all the same."""
    facts = {"state": "running", "pid": 1, "uptime_s": 1.0, "rss_bytes": 1, "last_line": "", "log": ""}
    mine = [WorkerProcess(name=f"{queue}-1", queue=queue, **facts) for queue in ("crawler", "voice")]
    told = _counted(Session(server.url, KEY), mine)
    assert [(2, 0), (None, None)] == [(one.waiting, one.running) for one in told]
    assert mine == _counted(Session(f"http://127.0.0.1:{free_port()}", KEY), mine)
    assert mine == _counted(Session(server.url, "another key"), mine)


def test_defaults_are_the_servers() -> None:
    """They are set elsewhere."""
    assert tuple(Queue) == QUEUES
    fields = Settings.model_fields
    assert (DEFAULT_REDIS_URL, DEFAULT_DRAIN_GRACE_S) == (fields["redis_url"].default, fields["drain_grace_s"].default)


def test_stack_that_make_up_started_is_joined(tmp_path: Path) -> None:
    """Its Redis is taken from its note, unless this shell names another; a long path gets a short socket elsewhere."""
    (tmp_path / "up.json").write_text(json.dumps({"redis_url": "redis://127.0.0.1:7777/0"}))
    environ: dict[str, str] = {}
    assert "redis://127.0.0.1:7777/0" == WorkerProcesses(tmp_path, environ=environ)._joined()["SWITCHYARD_REDIS_URL"]
    environ = {"SWITCHYARD_REDIS_URL": "redis://other:1/0"}
    assert "redis://other:1/0" == WorkerProcesses(tmp_path, environ=environ)._joined()["SWITCHYARD_REDIS_URL"]
    deep = tmp_path / ("x" * 100)
    one, other = (WorkerProcesses(deep / name, environ={})._short_socket() for name in "ab")
    assert one != other
    assert len(str(one)) < 100
