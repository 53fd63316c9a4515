"""Wording by a language model: a server that speaks chat completions, and what comes of its answers."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tasks.core.egress import Egress
from tasks.discovery.engine.wording import LanguageModel, worded
from tasks.discovery.exports.exported import Exported
from tasks.discovery.exports.functions import function_of
from tasks.discovery.exports.mcp import exported_mcp_tool
from tasks.discovery.pricing import Pricing, Usage
from tasks.discovery.tool import Tool, Wording
from tests.discovery.tools import a_tool
from tests.fakes import FakeJob

TOOLS = [a_tool("find"), a_tool("other", title="Other")]
NEW = {"name": "find", "title": "Search\tthe shop", "description": "Finds products\x07 by words."}


class Model:
    """Answers with ``content`` and ``usage``; ``asked`` are the requests."""

    def __init__(self) -> None:
        self.status = 200
        self.content: Any = json.dumps({"tools": [NEW, {"name": "nobody", "title": "x", "description": "x"}]})
        self.usage: Any = {"prompt_tokens": 1000, "completion_tokens": 100}
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert "/v1/chat/completions" == self.path
                model.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                model.keys.append(self.headers.get("Authorization", ""))
                message = {"choices": [{"message": {"content": model.content}}], "usage": model.usage}
                body = json.dumps(message).encode()
                self.send_response(model.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.at = LanguageModel(f"http://127.0.0.1:{self._server.server_port}/v1", "gpt-4o-mini", "k3y")

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.close()


@pytest.fixture
def job(tmp_path: Path) -> Iterator[FakeJob]:
    with Egress() as egress:
        yield FakeJob(tmp_path, egress)


def test_a_tool_is_shown_in_the_model_s_words_and_stays_what_it_is(model: Model, job: FakeJob) -> None:
    """Asked once, for all; a tool that it says nothing of keeps the site's words."""
    tools, usage = worded(TOOLS, model.at, job)
    assert Wording(title="Search the shop", description="Finds products by words.") == tools[0].wording
    assert TOOLS == [tool.model_copy(update={"wording": None}) for tool in tools]
    assert None is tools[1].wording
    assert Usage(tokens_in=1000, tokens_out=100, model_name="gpt-4o-mini") == usage
    assert 0.00021 == Pricing().cost("discovery.site", usage).model
    (asked,) = model.asked
    assert (["Bearer k3y"], "gpt-4o-mini", 0) == (model.keys, asked["model"], asked["temperature"])
    assert ["find", "other"] == [one["name"] for one in json.loads(asked["messages"][1]["content"])]
    shown = exported_mcp_tool(Exported("i", 1, "active", tools[0]))
    assert ("Search the shop", "Finds products by words.") == (shown["title"], shown["description"])
    assert function_of(Exported("i", 1, "active", tools[0]))["function"]["description"].startswith("Finds products")
    assert Tool.model_validate_json(tools[0].model_dump_json()) == tools[0]


@pytest.mark.parametrize(
    "content",
    [
        "no JSON",
        None,
        7,
        "[]",
        '{"tools": [{"name": "find"}]}',
        '{"tools": [{"name": "find", "title": "", "description": "x"}]}',
        '{"tools": [{"name": "find", "title": "\\u0007", "description": "x"}]}',
    ],
)
def test_an_answer_that_says_nothing_changes_nothing(model: Model, job: FakeJob, content: Any) -> None:
    """Its tokens are paid all the same."""
    model.content = content
    tools, usage = worded(TOOLS, model.at, job)
    assert (TOOLS, 1000) == (tools, usage.tokens_in)


@pytest.mark.parametrize(
    "usage", [None, {}, {"prompt_tokens": "1", "completion_tokens": 1}, {"prompt_tokens": -1, "completion_tokens": 1}]
)
def test_tokens_that_are_not_counted_have_no_price(model: Model, job: FakeJob, usage: Any) -> None:
    """What is not known stays so."""
    model.usage = usage
    tools, used = worded(TOOLS, model.at, job)
    cost = Pricing().cost("discovery.site", used)
    assert (None, None, "gpt-4o-mini") == (cost.model, cost.total, cost.model_name)
    assert tools[0].wording is not None


def test_a_model_that_fails_costs_the_tools_nothing(model: Model, job: FakeJob) -> None:
    """Nor does one that is not there; the log names it, and no key."""
    model.status = 500
    assert TOOLS == worded(TOOLS, model.at, job)[0]
    assert TOOLS == worded(TOOLS, LanguageModel("http://127.0.0.1:9/v1", "m", "k3y"), job)[0]
    assert 2 == sum("has not answered" in line for line in job.lines)
    assert "k3y" not in str(job.lines) + repr(model.at)


def test_nothing_is_asked_about_nothing(model: Model, job: FakeJob) -> None:
    """No tools, no question."""
    assert ([], Usage()) == worded([], model.at, job)
    assert [] == model.asked
