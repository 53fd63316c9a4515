"""deploy/alerts.yaml asks only for what /metrics tells."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.app.conftest import Caller

FILE = Path(__file__).parents[2] / "deploy/alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(FILE.read_text(encoding="utf-8"))["groups"][0]["rules"]
GUIDE = (FILE.parents[1] / "docs/operations.md").read_text(encoding="utf-8")
_ASKED = re.compile(r"(switchyard_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)(=~|=|!=)"([^"]*)"')


def asked(expression: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each series that an expression reads: its name, and what its labels must be."""
    for name, matchers in _ASKED.findall(expression):
        yield name, _MATCHER.findall(matchers)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_reads_series_that_there_are(rule: dict[str, Any], alice: Caller) -> None:
    """By their names, with labels that they have, of values that they can have; and the guide says what to do."""
    text = alice.get("/metrics").text
    families = list(text_string_to_metric_families(text))
    samples = [sample for family in families for sample in family.samples]
    known = {family.name for family in families} | {sample.name for sample in samples}
    for name, matchers in asked(rule["expr"]):
        assert name.removesuffix("_total") in known or name in known
        mine = [sample for sample in samples if sample.name == name]
        for label, operator, value in matchers:
            assert not mine or all(label in sample.labels for sample in mine)
            assert operator != "=" or not mine or any(sample.labels[label] == value for sample in mine)
    assert {"page", "warn"} >= {rule["labels"]["severity"]}
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert f"| `{rule['alert']}` |" in GUIDE


def test_a_label_that_there_is_not_would_be_seen() -> None:
    """The reader of expressions finds names and matchers."""
    found = list(asked('sum(rate(switchyard_queue_ended_total{state="failed"}[15m])) > max(switchyard_workers)'))
    assert [("switchyard_queue_ended_total", [("state", "=", "failed")]), ("switchyard_workers", [])] == found
