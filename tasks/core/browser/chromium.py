"""One Chromium under Playwright: its start, its processes, its end."""

import asyncio
import os
import secrets
import signal
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import structlog
from playwright.async_api import Browser, BrowserContext, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from tasks.core.browser.flags import FLAGS, NO_BYPASS
from tasks.core.browser.options import BrowserOptions, VisitOptions
from tasks.core.browser.scratch import as_temporary_folder, make_scratch, remove_scratch
from tasks.core.errors import Transient
from tasks.core.processes import held_bytes
from tasks.core.version import VERSION

if TYPE_CHECKING:
    from playwright.async_api import ProxySettings, StorageState

    from tasks.core.egress.proxy import Pass

log = structlog.get_logger()

# Inherited by every process of one browser, and by nothing else.
_MARK = "SWITCHYARD_BROWSER"
_LAUNCH_LIMIT_S = 30.0
_CLOSE_LIMIT_S = 5.0


class Chromium:
    """A running browser."""

    def __init__(self, playwright: Playwright, browser: Browser, process: psutil.Process, scratch: Path) -> None:
        self._playwright = playwright
        self._browser = browser
        self._process = process
        self._scratch = scratch
        self._is_killed = False
        self.visits = 0

    @classmethod
    async def launch(cls, options: BrowserOptions, *, proxy_url: str) -> "Chromium":
        """Start a browser whose connections all go to ``proxy_url``.

        Raises:
            EngineUnavailable: there is no Chromium.
            Transient: it does not start.
        """
        program = options.find_program()
        mark = secrets.token_hex(8)
        try:
            async with AsyncExitStack() as undo:
                scratch = make_scratch()
                undo.callback(remove_scratch, scratch)
                with as_temporary_folder(scratch):
                    playwright = await async_playwright().start()
                undo.push_async_callback(_stop, playwright)
                undo.callback(_kill_marked, mark)
                browser = await playwright.chromium.launch(
                    executable_path=program,
                    args=FLAGS,
                    env={**os.environ, _MARK: mark},
                    chromium_sandbox=options.is_sandboxed and os.geteuid() != 0,
                    # For what belongs to no context: it has no pass, so that the proxy turns it away.
                    proxy={"server": proxy_url, "bypass": NO_BYPASS},
                    timeout=_LAUNCH_LIMIT_S * 1000,
                    # The worker decides when to stop.
                    handle_sigint=False,
                    handle_sigterm=False,
                    handle_sighup=False,
                )
                launched = cls(playwright, browser, _marked(mark)[0], scratch)
                undo.pop_all()
                return launched
        except PlaywrightError as exc:
            raise Transient(f"Chromium did not start: {exc.message.partition(chr(10))[0][:300]}") from exc

    @property
    def is_alive(self) -> bool:
        """Whether it can take another visit."""
        return not self._is_killed and self._browser.is_connected()

    @property
    def pid(self) -> int:
        """Its main process, which leads the group of all its processes."""
        return self._process.pid

    @property
    def user_agent(self) -> str:
        """What it says it is, honestly: Chromium without a screen, working for us."""
        major = self._browser.version.partition(".")[0]
        return (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"HeadlessChrome/{major}.0.0.0 Safari/537.36 SwitchyardBrowser/{VERSION}"
        )

    async def new_context(
        self, visit: VisitOptions, *, proxy_url: str, holder: "Pass", user_agent: str | None
    ) -> BrowserContext:
        """Return a context that shares nothing with any other, uses ``holder``'s pass, and may ask for nothing."""
        proxy: ProxySettings = {
            "server": proxy_url,
            "bypass": NO_BYPASS,
            "username": holder.user,
            "password": holder.password,
        }
        state: StorageState | None = visit.storage_state  # type: ignore[assignment]  # whoever saved it got it from there
        self.visits += 1
        return await self._browser.new_context(
            proxy=proxy,
            user_agent=visit.user_agent or user_agent or self.user_agent,
            storage_state=state,
            viewport={"width": visit.viewport[0], "height": visit.viewport[1]},
            locale=visit.locale,
            service_workers="block",
            accept_downloads=False,
            permissions=[],
        )

    def held_bytes(self) -> int:
        """What its processes hold for themselves, together."""
        return held_bytes(self._process.pid)

    async def close(self) -> None:
        """End it, by force where it does not end by itself."""
        try:
            async with asyncio.timeout(_CLOSE_LIMIT_S):
                await self._browser.close()
        except (TimeoutError, PlaywrightError):
            log.warning("browser_did_not_close", pid=self.pid)
        finally:
            self.kill()
            await _stop(self._playwright)
            remove_scratch(self._scratch)

    def kill(self) -> None:
        """Kill all its processes. From any thread."""
        self._is_killed = True
        _kill(self._process)


async def _stop(playwright: Playwright) -> None:
    """End Playwright's own process."""
    with suppress(TimeoutError, PlaywrightError):
        async with asyncio.timeout(_CLOSE_LIMIT_S):
            await playwright.stop()


def _marked(mark: str) -> list[psutil.Process]:
    """List our descendants that carry ``mark``, the one that started the others first."""
    found = {process.pid: process for process in psutil.Process().children(recursive=True) if _has(process, mark)}
    return sorted(found.values(), key=lambda process: process.ppid() in found)


def _has(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(_MARK) == mark
    except psutil.Error:  # it has just ended
        return False


def _kill_marked(mark: str) -> None:
    for process in _marked(mark):
        _kill(process)


def _kill(process: psutil.Process) -> None:
    """Kill the group that ``process`` leads, unless it has ended and its number is another's."""
    with suppress(ProcessLookupError, psutil.Error):
        if process.is_running() and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
