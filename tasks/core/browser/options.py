"""What an operator sets for the browser, and what a job may ask of one visit."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core.egress import EgressPolicy
from tasks.core.errors import EngineUnavailable
from tasks.core.settings import CHROMIUM_PROGRAMS, Settings

_MIB = 1 << 20
# What a job's own log and its tests are read by; a page may be larger on purpose.
_DESKTOP = (1280, 800)


@dataclass(frozen=True, slots=True)
class BrowserOptions:
    """How a worker child keeps its browser.

    Attributes:
        policy: where its pages may go.
        program: Chromium; None looks for it on the path.
        user_agent: None stands for Chromium's own with our name behind it.
        max_visits: after so many it is replaced.
        max_memory_bytes: a browser that holds more after a visit is replaced.
        max_bytes: the most one visit may send and receive.
        is_sandboxed: Chromium's own sandbox; root never has it.
    """

    policy: EgressPolicy
    program: Path | None = None
    user_agent: str | None = None
    max_visits: int = 50
    max_memory_bytes: int = 400 * _MIB
    max_bytes: int = 256 * _MIB
    is_sandboxed: bool = True

    def find_program(self) -> Path:
        """Return where Chromium is.

        Raises:
            EngineUnavailable: nowhere.
        """
        tries = [str(self.program)] if self.program else CHROMIUM_PROGRAMS
        found = next((path for name in tries if (path := shutil.which(name))), None)
        if found is None:
            raise EngineUnavailable(
                f"No Chromium here ({', '.join(tries)}): install it, or set SWITCHYARD_BROWSER_PROGRAM."
            )
        return Path(found)


@dataclass(frozen=True, slots=True)
class VisitOptions:
    """What one visit wants.

    Attributes:
        user_agent: instead of the operator's.
        storage_state: cookies and local storage of an earlier visit, as ``BrowserContext.storage_state`` gives them.
        viewport: width and height in CSS pixels.
        locale: such as ``en-GB``; also sets Accept-Language.
        max_bytes: less than the operator's.
    """

    user_agent: str | None = None
    storage_state: Mapping[str, Any] | None = None
    viewport: tuple[int, int] = _DESKTOP
    locale: str = "en-US"
    max_bytes: int | None = None


def options_from(settings: Settings, policy: EgressPolicy) -> BrowserOptions:
    """Return what the operator's ``settings`` ask for."""
    return BrowserOptions(
        policy=policy,
        program=settings.browser_program,
        is_sandboxed=settings.browser_sandbox,
        user_agent=settings.browser_user_agent,
        max_visits=settings.browser_visits,
        max_memory_bytes=settings.browser_memory_mb * _MIB,
        max_bytes=settings.browser_traffic_mb * _MIB,
    )
