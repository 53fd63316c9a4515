"""The ``switchyard`` command: forms, output for people and machines, exit codes."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from client.command import main
from tasks.crawling.contract import SiteRequest
from tests.client.scripted_server import KEY, ScriptedServer, problem

Command = Callable[..., int]


@pytest.fixture
def switchyard(server: ScriptedServer) -> Command:
    """Run one command against the server; return its exit code."""

    def run(*arguments: str, key: str = KEY) -> int:
        with pytest.raises(SystemExit) as ended:
            main(["--url", server.url, "--key", key, "--reconnects", "0", *arguments])
        return int(str(ended.value.code))

    return run


def test_submit_prints_the_id_alone(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A script takes the id from stdout as it is."""
    assert switchyard("submit", "crawling.site", "--param", "url=http://a") == 0
    assert capsys.readouterr().out == "job-1\n"


def test_params_are_json_where_they_parse_and_nest_by_dots(server: ScriptedServer, switchyard: Command) -> None:
    """Numbers, lists and text on one command line."""
    pairs = ["depth=2", "include=[1,2]", "name=Ann", "robots.agent=x", "robots.strict=true", "odd=NaN"]
    switchyard("submit", "crawling.site", *(part for pair in pairs for part in ("--param", pair)))
    assert server.submits[0][1]["params"] == {
        "depth": 2,
        "include": [1, 2],
        "name": "Ann",
        "robots": {"agent": "x", "strict": True},
        "odd": "NaN",
    }


def test_submit_reads_a_json_file(server: ScriptedServer, switchyard: Command, tmp_path: Path) -> None:
    """``submit KIND --json FILE`` takes the whole input from there."""
    (tmp_path / "in.json").write_text('{"url": "http://a", "depth": 3}')
    assert switchyard("submit", "crawling.site", "--json", str(tmp_path / "in.json")) == 0
    assert server.submits[0][1]["params"] == {"url": "http://a", "depth": 3}


def test_submit_reads_stdin(server: ScriptedServer, switchyard: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dash is stdin."""
    monkeypatch.setattr("sys.stdin", io.StringIO('{"url": "http://b"}'))
    switchyard("submit", "crawling.site", "--json", "-")
    assert server.submits[0][1]["params"] == {"url": "http://b"}


def test_submit_takes_times(server: ScriptedServer, switchyard: Command) -> None:
    """The server reads them: a job may wait for one, and expire at another."""
    times = {"not_before": "2027-01-31T12:00:00Z", "expires_at": "2027-02-01T12:00:00Z"}
    arguments = [part for name, value in times.items() for part in (f"--{name.replace('_', '-')}", value)]
    assert switchyard("submit", "crawling.site", *arguments) == 0
    assert server.submits[0][1] == {"params": {}, **times}


def test_crawl_hands_on_what_is_said_and_nothing_else(server: ScriptedServer, switchyard: Command) -> None:
    """Each option is a parameter of the kind; what is not given is the server's to say."""
    options = {
        "--scope": "path",
        "--render": "never",
        "--delay": "0",
        "--depth": "2",
        "--max-pages": "5",
        "--concurrency": "4",
        "--max-duration": "60",
        "--exclude-regex": "/old/",
        "--include": "/docs/*",
        "--user-agent": "Reader/2 (+https://reader.example)",
        "--max-page-bytes": "2048",
        "--max-total-bytes": "4096",
        "--screenshots": "3",
    }
    given = [*(part for pair in options.items() for part in pair), "--revisit", "60", "3600"]
    switchyard("crawl", "http://a", "--no-know", "--no-sitemap", "--wait", "0", *given)
    switchyard("crawl", "http://a", "--no-know", "--wait", "0")
    full, bare = (one["params"] for _, one in server.submits)
    assert {"url": "http://a"} == bare
    assert full == {
        "url": "http://a",
        "scope": "path",
        "render": "never",
        "delay_s": 0.0,
        "depth": 2,
        "max_pages": 5,
        "concurrency": 4,
        "max_duration_s": 60,
        "exclude_regex": ["/old/"],
        "include": ["/docs/*"],
        "user_agent": "Reader/2 (+https://reader.example)",
        "max_page_bytes": 2048,
        "max_total_bytes": 4096,
        "screenshots": 3,
        "revisit": {"min_s": 60, "max_s": 3600},
        "use_sitemap": False,
    }
    request = SiteRequest.model_validate(full)
    assert (request.scope, request.render, request.use_sitemap) == ("path", "never", False)


def test_crawl_refuses_what_no_crawl_can_be_asked(
    server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """It names the option and what it may be; nothing is submitted."""
    assert 2 == switchyard("crawl", "http://a", "--scope", "galaxy")
    assert "'host', 'path', 'subdomains', 'any'" in capsys.readouterr().err
    assert 2 == switchyard("crawl", "http://a", "--delay", "61")
    assert [] == server.submits


@pytest.mark.parametrize(
    "arguments",
    [
        ["--param", "a=1", "--json", "-"],
        ["--param", "nothing"],
        ["--param", "a=1", "--param", "a.b=2"],
        ["--param", "a=1", "--param", "a=2"],
        ["--json", "no-such-file"],
        ["--priority", "900"],
    ],
)
def test_wrong_usage_exits_2_without_a_call(server: ScriptedServer, switchyard: Command, arguments: list[str]) -> None:
    """Contradictions are found before anything is sent."""
    assert switchyard("submit", "crawling.site", *arguments) == 2
    assert server.seen == []


@pytest.mark.parametrize("form", [["-o", "json"], ["--output", "json"]])
def test_submit_writes_json_with_o(switchyard: Command, capsys: pytest.CaptureFixture[str], form: list[str]) -> None:
    """Where --json names the input, -o json asks for JSON output."""
    switchyard("submit", "crawling.site", "--param", "url=http://a", *form)
    assert json.loads(capsys.readouterr().out)["id"] == "job-1"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status", "job-1"],
        ["list"],
        ["kinds"],
        ["kinds", "crawling.site"],
        ["queues"],
        ["workers"],
        ["advise"],
        ["result", "job-1"],
        ["artifacts", "job-1"],
        ["settings"],
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_json_is_one_object(
    server: ScriptedServer,
    switchyard: Command,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    before: bool,
) -> None:
    """``--json`` works before and after the command's name."""
    server.job().run().succeed(pages=1)
    assert switchyard(*(["--json", *arguments] if before else [*arguments, "--json"])) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_advice_is_of_each_queue_or_for_a_purpose(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a word of what it is for, how many workers each queue needs now."""
    assert (0, 0) == (switchyard("advise"), switchyard("advise", "--measured", "--people", "3"))
    queue, head, *rest = capsys.readouterr().out.splitlines()
    assert "crawler: 2 advised, 1 live, so more. Two wait." == queue
    assert head.startswith("queue: 2-4 workers")
    assert "'measured': 'true'" in rest[0]
    assert "'people': '3'" in rest[0]


@pytest.mark.parametrize("command", [["watch"], ["logs"]])
def test_json_of_streams_is_one_object_a_line(
    server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """NDJSON; a watch ends with the record."""
    server.job().run().succeed(pages=4)
    server.logs["job-1"] = [{"line": str(n), "level": "info"} for n in range(3)]
    assert switchyard(*command, "job-1", "--json") == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 3
    assert command == ["logs"] or lines[-1]["record"]["result"] == {"pages": 4}


@pytest.mark.parametrize(
    ("end", "code"), [("succeeded", 0), ("failed", 1), ("cancelled", 3)], ids=["succeeded", "failed", "cancelled"]
)
@pytest.mark.parametrize("form", ["follow", "wait", "watch"])
def test_exit_code_tells_the_end(server: ScriptedServer, switchyard: Command, form: str, end: str, code: int) -> None:
    """Following, waiting and watching end as the job does."""
    server.on_submit = lambda job: job.run().append("state", state=end)
    if form == "watch":
        server.job().run().append("state", state=end)
        assert switchyard("watch", "job-1") == code
    else:
        option = ["--follow"] if form == "follow" else ["--wait", "5"]
        assert switchyard("submit", "crawling.site", *option) == code


@pytest.mark.parametrize("options", [["--wait", "0.3"], ["--follow", "--wait", "0.3"]], ids=["wait", "follow"])
def test_wait_that_times_out_exits_7(server: ScriptedServer, switchyard: Command, options: list[str]) -> None:
    """The limit holds with and without --follow, and the job goes on."""
    assert switchyard("submit", "crawling.site", *options) == 7
    assert server.jobs["job-1"].record["state"] == "queued"
    assert server.is_idle()


@pytest.mark.parametrize(
    ("arguments", "key", "code"),
    [
        (["status", "nothing"], KEY, 4),
        (["submit", "no.such"], KEY, 4),
        (["submit", "crawling.site", "--param", "url=bad"], KEY, 2),
        (["kinds"], "wrong", 5),
    ],
)
def test_refusals_have_their_exit_codes(switchyard: Command, arguments: list[str], key: str, code: int) -> None:
    """Not found, refused input, no key."""
    assert switchyard(*arguments, key=key) == code


def test_unreachable_server_exits_6(capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, no traceback."""
    with pytest.raises(SystemExit) as ended:
        main(["--url", "http://127.0.0.1:9", "--reconnects", "0", "kinds"])
    error = capsys.readouterr().err
    assert (ended.value.code, error.count("\n"), "cannot connect" in error) == (6, 1, True)


def test_unavailable_server_exits_6(server: ScriptedServer, switchyard: Command) -> None:
    """A 503 is not a refusal."""
    server.faults.append(problem(503, "draining"))
    assert switchyard("kinds") == 6


def test_refused_fields_are_listed(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """The message, then each field with what it got."""
    switchyard("submit", "crawling.site", "--param", "url=bad")
    assert capsys.readouterr().err.splitlines() == [
        "error: input_rejected: 1 field was refused",
        '  params.url: expected an http address (got "bad")',
    ]


def test_errors_are_json_too(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that asked for JSON reads JSON on stderr."""
    assert switchyard("--json", "status", "nothing") == 4
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "not_found"


def test_piped_watch_writes_plain_lines(
    server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line an event, no colours; how it ended once, whether it was over before or ends now."""
    server.job().run(1).fail("permanent", "no\nluck")
    assert switchyard("watch", "job-1") == 1
    told = "job-1 failed attempt 1 (permanent): permanent: no luck in 0.2 s"
    assert [told] == capsys.readouterr().out.splitlines()
    server.on_submit = lambda job: job.run(1).fail("permanent", "no luck")
    assert switchyard("submit", "crawling.site", "--follow") == 1
    out = capsys.readouterr().out
    assert 1 == out.count(" failed ") == out.count("no luck in 0.2 s")
    assert "\x1b" not in out


def test_list_in_a_pipe_is_tab_separated(
    server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """A header and one line a job, for cut and awk; more pages are told on stderr."""
    for number in range(3):
        server.job(f"job-{number}")
    switchyard("list", "--state", "queued")
    captured = capsys.readouterr()
    assert [line.split("\t")[0] for line in captured.out.splitlines()] == ["id", "job-0", "job-1"]
    assert captured.err == "2 of 3; more with --cursor 2\n"


def test_result_of_a_failed_job_exits_1(
    server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no result to print; stderr says why."""
    server.job().fail("robots_refused", "not there")
    assert switchyard("result", "job-1") == 1
    assert capsys.readouterr() == ("", "error: robots_refused: job job-1 failed: robots_refused: not there\n")


def test_cancel_and_delete(server: ScriptedServer, switchyard: Command) -> None:
    """Cancelling succeeds with 0; a second act on an ended job is refused or erases."""
    server.job()
    assert switchyard("cancel", "job-1") == 0
    assert server.jobs["job-1"].record["state"] == "cancelled"
    assert switchyard("delete", "job-1") == 0
    assert server.jobs == {}


def test_kind_shows_its_example(switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """What to send, at a glance."""
    switchyard("kinds", "crawling.site")
    assert '"url": "https://example.org"' in capsys.readouterr().out


def test_pages_are_kept_as_the_file_says(
    server: ScriptedServer, switchyard: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its ending, or by the format that is named; an ending that says nothing is refused."""
    server.files |= {("job-1", "pages.jsonl"): b"lines", ("job-1", "pages.jsonl?format=markdown"): b"zip"}
    assert 0 == switchyard("pages", "job-1", str(tmp_path / "a.zip"))
    assert 0 == switchyard("pages", "job-1", str(tmp_path / "b"), "--format", "markdown")
    assert 0 == switchyard("pages", "job-1", str(tmp_path / "c.jsonl"))
    assert [b"zip", b"zip", b"lines"] == [(tmp_path / name).read_bytes() for name in ("a.zip", "b", "c.jsonl")]
    assert 0 != switchyard("pages", "job-1", str(tmp_path / "d.csv"))
    assert "or say --format" in capsys.readouterr().err


def test_download_prints_the_path(
    server: ScriptedServer, switchyard: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is where stdout says."""
    server.files["job-1", "a.txt"] = b"abc"
    assert switchyard("download", "job-1", "a.txt", "--to", str(tmp_path)) == 0
    assert Path(capsys.readouterr().out.strip()).read_bytes() == b"abc"


def test_settings_masks_secrets(
    switchyard: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server's settings are shown without what must stay secret."""
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", "redis://:hush@127.0.0.1:6379/0")
    assert switchyard("settings") == 0
    out = capsys.readouterr().out
    assert "SWITCHYARD_REDIS_URL=" in out
    assert "hush" not in out


def test_refused_settings_exit_2_with_every_reason(
    switchyard: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that is wrong, at once."""
    monkeypatch.setenv("SWITCHYARD_REDIS_URL", "gopher://x")
    monkeypatch.setenv("SWITCHYARD_ENVIRONMENT", "moon")
    assert switchyard("settings") == 2
    assert capsys.readouterr().err.count("refused: ") >= 2


def test_retry_of_one_job(server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str]) -> None:
    """Queued again; what has not failed is refused."""
    server.job().run().fail()
    assert switchyard("retry", "job-1") == 0
    assert capsys.readouterr().out == "job-1 is queued again\n"
    assert switchyard("retry", "job-1") == 2


def test_retry_can_wait_for_the_new_end(server: ScriptedServer, switchyard: Command) -> None:
    """The exit code is that of the job's new end; waiting here for a job that nobody runs times out."""
    server.job().run().fail()
    assert switchyard("retry", "job-1", "--wait", "0.2") == 7


@pytest.mark.parametrize(
    ("act", "done"), [("retry", "retried"), ("cancel", "cancelled or told to stop"), ("erase", "erased")]
)
def test_many_jobs_by_filter(
    server: ScriptedServer, switchyard: Command, capsys: pytest.CaptureFixture[str], act: str, done: str
) -> None:
    """Only with --yes."""
    server.job("job-1").run().fail()
    server.job("job-2").run().fail()
    server.job("job-3")
    assert switchyard(act, "--state", "failed") == 2
    assert "add --yes" in capsys.readouterr().err
    assert switchyard(act, "--state", "failed", "--limit", "1", "--yes") == 0
    assert capsys.readouterr().out == f"1 of 2 {done}; there are more: repeat it\n"


@pytest.mark.parametrize("arguments", [["retry"], ["cancel", "--yes"], ["erase"], ["retry", "job-1", "--all"]])
def test_act_needs_one_way_to_choose(server: ScriptedServer, switchyard: Command, arguments: list[str]) -> None:
    """Nobody cancels everything by forgetting an id."""
    assert switchyard(*arguments) == 2
    assert server.seen == []
