"""Trying tools in lanes: how many at a time, in which order, and what ends it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.core.egress import Egress
from tasks.core.errors import JobCancelled, Transient
from tasks.discovery.contract import SiteRequest
from tasks.discovery.engine.outcome import Outcome, Run
from tasks.discovery.engine.proving import Proving
from tasks.discovery.tool import Check, CheckName, FormCall, RequestCall, Source, Tool
from tests.fakes import FakeJob

SITE = "http://shop.test"


def tool(name: str, *, effect: str = "read", is_form: bool = False) -> Tool:
    call = FormCall(page_url=SITE, url=f"{SITE}/{name}", fields=()) if is_form else RequestCall(url=f"{SITE}/{name}")
    return Tool(
        name=name,
        site=SITE,
        found_on=SITE,
        source=Source.FORM,
        effect=effect,
        call=call,
        input_schema={"type": "object", "properties": {}},
        prior=0.5,
    )


@dataclass
class Trials:
    """Runs each tool once, and counts how many run together."""

    takes_s: float = 0.02
    began: list[str] = field(default_factory=list)
    under_way: set[str] = field(default_factory=set)
    together: list[set[str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def runner(self, _job: Any, _session: Any) -> Iterator[Run]:
        yield self.run

    def run(self, tool: Tool, arguments: dict[str, Any]) -> Outcome:
        del arguments
        with self._lock:
            self.began.append(tool.name)
            self.under_way.add(tool.name)
            self.together.append(set(self.under_way))
        time.sleep(self.takes_s)
        with self._lock:
            self.under_way.discard(tool.name)
        return Outcome(status=200, url=SITE, media_type="text/html", text="", value=None, backend="http", took_s=0.0)

    def prove(self, tool: Tool, run: Run, *, compare: object, allow_write: bool) -> Tool:
        del compare
        if tool.effect == "read" or allow_write:
            run(tool, {})
        return tool.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=True),)})

    def all(self, job: FakeJob, tools: list[Tool], *, most: int = 50, at_once: int = 4, **request: Any) -> list[Tool]:
        proving = Proving(self.prove, lambda tool: 0.9 if tool.checks else 0.1, self.runner)
        return proving.prove_all(
            tools,
            job,
            request=SiteRequest(url=SITE, **request),
            session=None,
            most=most,
            may_spend=lambda: True,
            at_once=at_once,
        )


@pytest.fixture
def job(tmp_path: Path) -> Iterator[FakeJob]:
    with Egress() as egress:
        yield FakeJob(tmp_path, egress)


def test_tools_come_back_in_their_order(job: FakeJob) -> None:
    """Plain requests are tried some at a time, beside the forms, which are tried one by one."""
    tools = [tool(f"t{n}", is_form=n % 3 == 0) for n in range(12)]
    trials = Trials()
    found = trials.all(job, tools)
    assert [one.name for one in tools] == [one.name for one in found]
    assert {0.9} == {one.confidence for one in found}
    assert 2 < max(map(len, trials.together)) <= 5
    forms = {one.name for one in tools if isinstance(one.call, FormCall)}
    assert 1 == max(len(together & forms) for together in trials.together)


def test_the_first_are_tried_and_one_at_a_time_where_that_is_asked_for(job: FakeJob) -> None:
    trials = Trials(takes_s=0.005)
    found = trials.all(job, [tool(f"t{n}") for n in range(6)], most=4, at_once=1)
    assert [0.9, 0.9, 0.9, 0.9, 0.1, 0.1] == [one.confidence for one in found]
    assert ["t0", "t1", "t2", "t3"] == trials.began
    assert {1} == set(map(len, trials.together))


def test_a_tool_that_writes_is_tried_alone_and_once(job: FakeJob) -> None:
    """When those that read are done, so that these see the site as it was."""
    tools = [tool("w1", effect="write"), tool("r1"), tool("w2", effect="write", is_form=True), tool("r2")]
    trials = Trials()
    trials.all(job, tools, allow=("read", "write"))
    assert {"r1", "r2"} == set(trials.began[:2])
    assert ["w1", "w2"] == trials.began[2:]
    assert all(len(together) == 1 for together in trials.together if together & {"w1", "w2"})
    assert ["w1", "w2"] == (job.resume.state or {})["tried"]
    trials = Trials()
    trials.all(job, tools, allow=("read", "write"))
    assert {"r1", "r2"} == set(trials.began)


def test_a_cancel_ends_it(job: FakeJob) -> None:
    """Nothing is begun any more; nobody waits for what is under way."""
    trials = Trials(takes_s=0.3)
    began = time.monotonic()
    job.cancel_after = 3
    with pytest.raises(JobCancelled):
        trials.all(job, [tool(f"t{n}") for n in range(40)])
    assert time.monotonic() - began < 3
    begun = len(trials.began)
    time.sleep(0.4)
    assert begun == len(trials.began) <= 4


def test_a_tool_that_cannot_be_tried_costs_only_itself(job: FakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a proof is no answer about the others."""

    def prove(trials: Trials, tool: Tool, run: Run, **_: Any) -> Tool:
        if tool.name == "t1":
            raise Transient("it is gone")
        return tool.model_copy(update={"checks": (Check(name=CheckName.RUNS, passed=True),)})

    monkeypatch.setattr(Trials, "prove", prove)
    found = Trials().all(job, [tool("t0"), tool("t1"), tool("t2")])
    assert [0.9, 0.1, 0.9] == [one.confidence for one in found]
    assert any("t1 could not be tried" in line for line in job.lines)
