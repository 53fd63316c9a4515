"""Fitting the confidence of tools, and what people have judged."""

import math
import tomllib

import pytest

from bench.discovery_fit import SHRINKING, Row, cross_validated, fit, judge
from bench.discovery_judged import FOLDER, is_right, key_of
from tasks.discovery.engine.confidence import EVIDENCE
from tasks.discovery.tool import Check, CheckName, RequestCall, Source, Tool
from tests.acceptance.targets.starting import NAMES


def tool(*checks: tuple[CheckName, bool], source: Source = Source.SORT) -> Tool:
    return Tool(
        name="sort",
        site="https://a.example",
        found_on="https://a.example/list",
        source=source,
        call=RequestCall(url="https://a.example/list"),
        input_schema={},
        prior=0.5,
        checks=tuple(Check(name=name, passed=passed) for name, passed in checks),
    )


SHOWN = ((CheckName.RUNS, True), (CheckName.CHOICE_CHANGES, True))


def rows(sites: int) -> list[Row]:
    """Return tools of which those that changed something are right, on every site."""
    return [
        Row(tool(*(SHOWN if at % 4 else SHOWN[:1])), is_right=at % 4 > 0, group=f"site{site}", kind="targets")
        for site in range(sites)
        for at in range(12)
    ]


def test_evidence_that_tells_is_learnt_and_holds_on_other_sites() -> None:
    """The same rows give the same weights; no evidence speaks against a tool."""
    seen = rows(6)
    weights = fit(seen)
    assert weights == fit(seen)
    assert all(weights[name] >= 0 for name in EVIDENCE)
    assert weights["answers_follow"] > 0.5
    judged = judge(seen, cross_validated(seen))
    assert judged["skill"] > 0.3
    least, most = judged["skill_90"]
    assert least <= judged["skill"] <= most
    assert 12 * 6 == judged["rows"] == sum(count for *_, count in judged["bins"])


def test_the_interval_of_the_skill_is_as_wide_as_sites_differ() -> None:
    """Sites that are alike give a narrow one, one site that misleads a wide one; the same each time."""
    alike = rows(6)
    answers = cross_validated(alike)
    odd = [Row(row.tool, row.is_right != (row.group == "site0"), row.group, row.kind) for row in alike]
    narrow, wide = judge(alike, answers)["skill_90"], judge(odd, answers)["skill_90"]
    assert narrow == judge(alike, answers)["skill_90"]
    assert wide[1] - wide[0] > narrow[1] - narrow[0]


def test_a_base_rate_that_was_known_beforehand_is_that_of_other_sites() -> None:
    """Where sites differ, saying theirs is worse than saying one's own: half and half by hand."""
    sites = {"a": [True, True], "b": [True, False]}
    seen = [Row(tool(), is_right=right, group=name, kind="targets") for name, each in sites.items() for right in each]
    judged = judge(seen, [0.75] * 4)
    assert 0.0 == judged["skill"]
    # a is told 1/2, b is told 1: errors of 1/4, 1/4, 0 and 1.
    assert round(1 - 0.1875 / 0.375, 4) == judged["skill_beforehand"]
    assert judge(seen[:2], [0.9, 0.9])["skill_beforehand"] is None


def test_right_ones_are_told_from_wrong_ones_of_their_site() -> None:
    """Whatever is said of other sites; by hand: of three pairs one is told, one is not, one is a tie."""
    seen = [Row(tool(), is_right=right, group="a", kind="targets") for right in (True, True, True, False)]
    seen += [Row(tool(), is_right=True, group="b", kind="targets")]
    judged = judge(seen, [0.9, 0.6, 0.7, 0.7, 0.1])
    assert (0.5, [0.5, 0.5], 1) == (judged["told"], judged["told_90"], judged["wrong"])
    assert judge(seen[:3], [0.9, 0.6, 0.7])["told"] is None


def test_the_skill_of_an_order_is_what_no_scale_can_exceed() -> None:
    """A wrong one that is said to be the least likely leaves nothing to explain, however it was said."""
    seen = [Row(tool(), is_right=right, group="a", kind="targets") for right in (True, True, True, False)]
    judged = judge(seen, [0.4, 0.5, 0.6, 0.3])
    assert 1.0 == judged["skill_of_order"] > judged["skill"]
    assert 0.0 == judge(seen, [0.4, 0.5, 0.6, 0.7])["skill_of_order"]


def test_the_log_score_of_the_base_rate_has_no_skill() -> None:
    """And what was sure, and wrong, costs, but not without end."""
    seen = [Row(tool(), is_right=right, group="a", kind="targets") for right in (True, True, True, False)]
    assert 0.0 == judge(seen, [0.75] * 4)["log_skill"]
    assert -5 < judge(seen, [1.0] * 4)["log_skill"] < -1


def test_without_a_site_beliefs_are_all_there_is() -> None:
    """Drawn in by how far sites differ."""
    assert 0 < SHRINKING < 1
    weights = fit([Row(tool(), is_right=True, group="a", kind="targets")])
    assert math.isclose(0.3 * SHRINKING, weights["repeats"])
    assert math.isclose(1.0 * SHRINKING, weights["prior"])


@pytest.mark.parametrize("name", NAMES)
def test_judged_tools_are_judged_once(name: str) -> None:
    """And those that are wrong have a reason."""
    document = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    wrong = [one["tool"] for one in document["wrong"]]
    every = [*document["right"], *wrong]
    assert len(set(every)) == len(every) > 10
    assert all(one["why"] for one in document["wrong"])


def test_a_tool_is_found_by_its_name_and_request() -> None:
    """What nobody has judged is neither."""
    known = tool().model_copy(
        update={"name": "get_ip", "call": RequestCall(url="http://127.0.0.1:81/ip"), "source": Source.OPENAPI}
    )
    assert "get_ip GET /ip" == key_of(known)
    assert is_right("httpbin", known) is True
    assert is_right("httpbin", known.model_copy(update={"name": "other"})) is None
