"""The words that a tool of several steps is written in, carried out in a page."""

import asyncio
import re
from collections.abc import Iterable
from urllib.parse import quote

from playwright.async_api import Locator

from tasks.core.browser import Visit
from tasks.core.egress.targets import normalize_url
from tasks.core.errors import InputRejected, Permanent
from tasks.discovery.engine.running.filling import Arguments, as_text
from tasks.discovery.engine.running.page_steps import Diary, find, step
from tasks.discovery.engine.running.traffic import Traffic
from tasks.discovery.tool import Step

_PLACEHOLDER = re.compile(r"\{([A-Za-z0-9_.\-\[\]]{1,100})\}")
_MAX_ELEMENTS = 200
_PAGE_PX = 800


class StepWords:
    """Carries out steps one after another."""

    def __init__(self, visit: Visit, traffic: Traffic, arguments: Arguments, *, diary: Diary) -> None:
        self._visit = visit
        self._traffic = traffic
        self._arguments = arguments
        self._diary = diary

    async def carry_out(self, steps: Iterable[Step]) -> str | None:
        """Return the HTML that the last ``extract`` took, or None where that is the whole page.

        A step whose text is nothing but an input that was not given is left out.

        Raises:
            Permanent, Transient: a step failed; the message gives its number and word.
        """
        extracted: str | None = None
        self._traffic.forget()
        for number, each in enumerate(steps, 1):
            name = f"step {number} ({each.act})"
            if self._is_idle(each):
                self._diary.note(f"{name}: left out, its input was not given.")
                continue
            async with step(name):
                if each.act == "extract":
                    extracted = await self._extract(each, name)
                else:
                    await self._act(each, name)
            if each.act in ("navigate", "click", "key", "select", "input"):
                await self._traffic.settle(limit_s=each.timeout_s, name=name)
        return extracted

    async def _act(self, each: Step, name: str) -> None:
        page, limit_ms = self._traffic.page, each.timeout_s * 1000
        match each.act:
            case "navigate":
                await self._navigate(each, name)
            case "click":
                await (await self._find(each, name)).click(timeout=limit_ms, no_wait_after=True)
            case "input":
                await (await self._find(each, name)).fill(self._text(each), timeout=limit_ms)
            case "select":
                await self._select(await self._find(each, name), self._text(each), limit_ms=limit_ms)
            case "key" if each.selectors:
                await (await self._find(each, name)).press(self._text(each), timeout=limit_ms, no_wait_after=True)
            case "key":
                await page.keyboard.press(self._text(each))
            case "scroll" if each.selectors:
                await (await self._find(each, name)).scroll_into_view_if_needed(timeout=limit_ms)
            case "scroll":
                await page.mouse.wheel(0, _pixels(self._text(each)))
            case "wait":
                await self._wait(each, name)

    async def _navigate(self, each: Step, name: str) -> None:
        url = normalize_url(self._text(each, is_address=True), base=self._traffic.page.url)
        if url is None:
            raise InputRejected(f"{name}: the address cannot be read.")
        self._traffic.forget()
        await self._visit.open(self._traffic.page, url, timeout_s=each.timeout_s)

    async def _select(self, element: Locator, text: str, *, limit_ms: float) -> None:
        values = await element.locator("option").evaluate_all("(all) => all.map((one) => one.value)")
        if text in values:
            await element.select_option(value=text, timeout=limit_ms)
        else:
            await element.select_option(label=text, timeout=limit_ms)

    async def _wait(self, each: Step, name: str) -> None:
        text = self._text(each)
        if each.selectors:
            await (await self._find(each, name)).wait_for(timeout=each.timeout_s * 1000)
        elif re.fullmatch(r"\d+(\.\d+)?", text):
            await asyncio.sleep(min(float(text), each.timeout_s))
        else:
            await self._traffic.settle(limit_s=each.timeout_s, name=name)

    async def _extract(self, each: Step, name: str) -> str | None:
        if not each.selectors:
            return None
        first = await self._find(each, name)
        for selector in each.selectors:
            found = self._traffic.page.locator(selector)
            if await found.count():
                pieces = await found.evaluate_all(
                    "(all, most) => all.slice(0, most).map((one) => one.outerHTML)", _MAX_ELEMENTS
                )
                return f"<main>{''.join(pieces)}</main>"
        return str(await first.evaluate("(one) => one.outerHTML"))

    async def _find(self, each: Step, name: str) -> Locator:
        return await find(self._traffic.page, each.selectors, name=name, diary=self._diary, limit_s=each.timeout_s)

    def _is_idle(self, each: Step) -> bool:
        found = _PLACEHOLDER.fullmatch(each.text)
        return found is not None and found[1] not in self._arguments

    def _text(self, each: Step, *, is_address: bool = False) -> str:
        def given(found: re.Match[str]) -> str:
            if found[1] not in self._arguments:
                raise Permanent(f"The step needs the input {found[1]!r}, which was not given.")
            text = as_text(self._arguments[found[1]])
            return quote(text, safe="") if is_address and found[0] != each.text else text

        return _PLACEHOLDER.sub(given, each.text)


def _pixels(text: str) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,6}", text) else _PAGE_PX
