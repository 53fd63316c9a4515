"""Runs of tools against a real site, as plain requests; what the registry and the purse hear of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import EgressRefused, InputRejected, NotAllowed
from tasks.discovery.contract import Cost, RunRequest, RunResult
from tasks.discovery.engine import run_tool
from tasks.discovery.engine.run_tool import RunReport, ToolRunner
from tasks.discovery.tool import Effect, RequestCall, Tool
from tests.discovery.local_shop import LocalShop, a_search, local_shop
from tests.fakes import FakeJob

SID, TOKEN = "p4/ssK+one=", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.q1W2e3R4t5"


def signed_in(origin: str) -> dict[str, Any]:
    """A sign-in by a cookie that no script may read, and by a token that a script has stored."""
    cookie = {"domain": "127.0.0.1", "path": "/", "expires": -1, "secure": False, "sameSite": "Lax"}
    stored = [{"name": "auth", "value": json.dumps({"user": {"token": TOKEN}, "theme": "dark"})}]
    return {
        "cookies": [
            cookie | {"name": "sid", "value": SID, "httpOnly": True},
            cookie | {"name": "theme", "value": "dark", "httpOnly": True},
        ],
        "origins": [{"origin": origin, "localStorage": stored}],
    }


@pytest.fixture(scope="module")
def shop() -> Iterator[LocalShop]:
    with local_shop() as served:
        yield served


@dataclass
class Desk:
    """A runner, its job, and what it told."""

    shop: LocalShop
    job: FakeJob
    tool: Tool
    kept: list[RunReport] = field(default_factory=list)
    charged: list[tuple[Cost, str]] = field(default_factory=list)
    session: dict[str, Any] = field(default_factory=dict)

    def run(self, *, stored: bool = True, **changes: Any) -> RunResult:
        """Run the tool, which the registry knows as ``t1``."""
        named: dict[str, Any] = {"tool_id": "t1"} if stored else {"tool": self.tool}
        runner = ToolRunner(
            load=lambda _job, tool_id: {"t1": self.tool}[tool_id],
            keep=lambda _job, report: self.kept.append(report),
            open_session=lambda _job, _site: self.session,
            charge=lambda _job, cost, method: self.charged.append((cost, method)),
        )
        return runner(RunRequest(**(named | {"arguments": {"q": "tea 3"}} | changes)), self.job)


@pytest.fixture
def desk(shop: LocalShop, tmp_path: Path) -> Iterator[Desk]:
    with Egress(EgressPolicy(allow=frozenset({shop.endpoint}))) as egress:
        yield Desk(shop, FakeJob(tmp_path, egress), a_search(shop.origin))


def test_a_tool_is_run_and_the_run_is_kept(desk: Desk) -> None:
    """With what it answered, how it ran, and what that cost."""
    answer = desk.run()
    assert ("search", 200, "http", None) == (answer.tool, answer.status, answer.ran_in, answer.fits_output_schema)
    assert "Tea 3" in str(answer.value)
    assert "Tea 4" not in str(answer.value)
    ((cost, method),) = desk.charged
    assert (0.0, "discovery.run by http") == (cost.total, method)
    (report,) = desk.kept
    assert ("t1", "http", "", ("q",)) == (report.tool_id, report.ran_in, report.error, report.arguments)
    assert report.took_s > 0


def test_a_tool_that_was_sent_along_is_not_the_registrys(desk: Desk) -> None:
    """It is charged all the same."""
    assert 200 == desk.run(stored=False).status
    assert ([], 1) == (desk.kept, len(desk.charged))


def test_arguments_that_do_not_fit_say_nothing_of_the_tool(desk: Desk) -> None:
    """They are refused before any request, and not counted."""
    before = desk.shop.hits["/search"]
    with pytest.raises(InputRejected, match="colour"):
        desk.run(arguments={"colour": "red"})
    assert (before, [], []) == (desk.shop.hits["/search"], desk.kept, desk.charged)


def test_a_run_that_fails_is_kept_with_its_code(desk: Desk) -> None:
    """Here because the tool leads where nothing may."""
    desk.tool = desk.tool.model_copy(update={"call": RequestCall(url="http://127.0.0.1:9/"), "input_schema": {}})
    with pytest.raises(EgressRefused):
        desk.run(arguments={})
    assert ["egress_refused"] == [report.error for report in desk.kept]
    assert 1 == len(desk.charged)


def test_an_answer_of_failure_is_a_failed_run(desk: Desk) -> None:
    """The caller sees it as it is."""
    gone = RequestCall(url=f"{desk.shop.origin}/gone")
    desk.tool = desk.tool.model_copy(update={"call": gone, "input_schema": {"type": "object", "properties": {}}})
    assert 404 == desk.run(arguments={}).status
    assert ["status_404"] == [report.error for report in desk.kept]


@pytest.mark.parametrize(("effect", "allowed"), [(Effect.DESTROY, None), (Effect.WRITE, (Effect.READ,))])
def test_an_effect_that_was_not_allowed_is_refused(
    desk: Desk, effect: Effect, allowed: tuple[Effect, ...] | None
) -> None:
    """What destroys must be named; nothing is sent."""
    desk.tool = desk.tool.model_copy(update={"effect": effect})
    before = desk.shop.hits["/search"]
    with pytest.raises(NotAllowed, match=effect.value) as refusal:
        desk.run(**({} if allowed is None else {"allow_effects": allowed}))
    assert "effect_not_allowed" == refusal.value.code
    assert (before, []) == (desk.shop.hits["/search"], desk.kept)
    assert 200 == desk.run(allow_effects=(effect,)).status


def test_the_answer_is_held_against_the_output_schema(desk: Desk) -> None:
    """And said to fit or not; it is given in any case."""
    for schema, fits in (({"type": "object"}, True), ({"type": "object", "required": ["no_such"]}, False)):
        desk.tool = desk.tool.model_copy(update={"output_schema": schema})
        assert fits is desk.run().fits_output_schema


def test_a_large_value_is_an_artifact(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result stays small."""
    monkeypatch.setattr(run_tool, "MAX_INLINE_BYTES", 10)
    answer = desk.run()
    assert (None, "value.json") == (answer.value, answer.artifact)
    assert b"Tea 3" in desk.job.saved["value.json"]


def test_a_sign_in_is_told_to_nobody_even_by_a_site_that_repeats_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by the result nor by the file of a large one."""
    desk.session = signed_in(desk.shop.origin)
    desk.tool = desk.tool.model_copy(update={"call": RequestCall(url=f"{desk.shop.origin}/me?sid={SID}")})
    desk.shop.pages["/me"] = f"<p>Signed in as {SID} with {TOKEN}; <a href='/x?s={SID}'>theme: dark</a>"
    answer = desk.run(use_session=True, arguments={})
    assert "Signed in as *** with ***" in str(answer.value)
    assert "theme: dark" in str(answer.value)
    assert f"{desk.shop.origin}/me?sid=***" == answer.url
    monkeypatch.setattr(run_tool, "MAX_INLINE_BYTES", 10)
    answer = desk.run(use_session=True, arguments={})
    told = f"{answer.model_dump_json()} {desk.job.saved['value.json'].decode()} {desk.job.lines} {desk.kept}"
    assert "Signed in as ***" in told
    assert [] == [secret for secret in (SID, TOKEN) if secret in told.replace(repr(desk.tool), "")]
