"""Tools that a page registers itself, called in the page (WebMCP, ``document.modelContext`` of Chromium 156)."""

import json
from typing import Any

from playwright.async_api import Page

from tasks.core.errors import EngineUnavailable, Permanent, Transient
from tasks.discovery.engine.running.filling import Arguments
from tasks.discovery.engine.running.page_steps import step

CALL_LIMIT_S = 30

_CALL = """async ({name, input, limit_ms}) => {
  const context = document.modelContext;
  if (!context || !context.executeTool) return {problem: 'unavailable'};
  const ends = Date.now() + 5000;
  let tool;
  while (!(tool = (await context.getTools()).find((one) => one.name === name))) {
    if (Date.now() > ends) return {problem: 'missing'};
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const late = new Promise((resolve) => setTimeout(() => resolve({problem: 'late'}), limit_ms));
  const call = context.executeTool(tool, input).then(
    (answer) => ({answer: typeof answer === 'string' ? answer : JSON.stringify(answer)}),
    (error) => ({problem: 'failed', words: String(error).slice(0, 300)}));
  return Promise.race([call, late]);
}"""


async def call_page_tool(page: Page, name: str, arguments: Arguments) -> Any:
    """Return what the page's tool answers: parsed where it is JSON, MCP's envelope taken off.

    Raises:
        EngineUnavailable: this Chromium lets nobody call a page's tools.
        Permanent: the page has no such tool, or it failed.
        Transient: it did not answer in time.
    """
    async with step(f"page tool {name!r}"):
        told = await page.evaluate(_CALL, {"name": name, "input": arguments, "limit_ms": CALL_LIMIT_S * 1000})
    match told.get("problem"):
        case None:
            return _opened(_parsed(told.get("answer")))
        case "unavailable":
            raise EngineUnavailable(
                "This Chromium has no document.modelContext: tools of pages need version 156 with the feature WebMCP."
            )
        case "missing":
            raise Permanent(f"page tool {name!r}: the page does not register it. Discover the site again.")
        case "late":
            raise Transient(f"page tool {name!r}: no answer within {CALL_LIMIT_S} s.")
        case _:
            raise Permanent(f"page tool {name!r}: {told['words']}")


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _opened(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "structuredContent" in value:
        return value["structuredContent"]
    content = value.get("content")
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict) and "text" in content[0]:
        return _parsed(content[0]["text"])
    return value
