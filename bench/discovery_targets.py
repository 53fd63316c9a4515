"""Discovering the targets: real programs with a list, for each, of the tools that a person would want."""

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.discovery.contract import SiteRequest, SiteResult
from tasks.discovery.engine.confidence import assess
from tasks.discovery.engine.discover import Discoverer
from tasks.discovery.engine.proof import failed_check, first_arguments, prove
from tasks.discovery.engine.proving import Proving, open_runner
from tasks.discovery.engine.running.runner import Runner
from tasks.discovery.engine.sources import SOURCES
from tasks.discovery.engine.trials import Trials, is_success
from tasks.discovery.tool import Effect, FormCall, Place, RequestCall, Tool
from tests.acceptance.targets.starting import started
from tests.acceptance.targets.target import Target
from tests.acceptance.targets.wanted import Wanted, matches, wanted

MAX_PAGES = 100
MAX_PAGES_OF_A_STRANGER = 30
MAX_TOOLS = 100
MAX_DEPTH = 3
_EFFECTS = {"read": "reads", "write": "writes", "destroy": "destroys"}


@dataclass(slots=True)
class Found:
    """What one target gave. ``seconds`` are those of each discovery, ``failing`` names of published tools that do not
    do what they are for.
    """

    name: str
    wanted: tuple[Wanted, ...]
    tools: list[Tool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failing: list[str] = field(default_factory=list)

    def is_wanted(self, tool: Tool) -> bool:
        """Whether some entry of the list asks for the tool."""
        return any(is_match(entry, tool) for entry in self.wanted)

    @property
    def missed(self) -> list[Wanted]:
        """The entries that no published tool serves."""
        return [entry for entry in self.wanted if not any(is_match(entry, tool) for tool in self.tools)]

    def to_json(self) -> str:
        """Return what was found, to be read again."""
        tools = [tool.model_dump(mode="json") for tool in self.tools]
        return json.dumps(
            {"tools": tools, "seconds": self.seconds, "skipped": self.skipped, "failing": self.failing}, indent=1
        )

    @classmethod
    def from_json(cls, name: str, text: str) -> "Found":
        """Return what ``to_json`` kept."""
        kept = json.loads(text)
        tools = [Tool.model_validate(one) for one in kept["tools"]]
        return cls(name, wanted(name), tools, kept["seconds"], kept["skipped"], kept["failing"])


def is_match(entry: Wanted, tool: Tool) -> bool:
    """Whether the tool is the wanted one, by the rule of the lists; one that calls another site is none."""
    shown = as_request(tool) if is_own(tool) else None
    return shown is not None and matches(entry, shown)


def is_own(tool: Tool) -> bool:
    """Whether what the tool sends goes to its site."""
    return not isinstance(tool.call, (RequestCall, FormCall)) or tool.call.url.startswith(f"{tool.site}/")


def as_request(tool: Tool) -> dict[str, Any] | None:
    """Return the tool as the lists' rule takes it; None for what is no request."""
    match tool.call:
        case RequestCall() as call:
            names = [slot.name or slot.pointer.lstrip("/") or slot.input for slot in call.slots]
            inputs = [name for name, slot in zip(names, call.slots, strict=True) if slot.place is not Place.PATH]
        case FormCall() as call:
            inputs = [one.name for one in call.fields if one.input and one.name]
        case _:
            return None
    return {"method": call.method, "url": call.url, "inputs": inputs, "effect": _EFFECTS[tool.effect.value]}


def find(name: str) -> Found:
    """Start the target, discover it as a stranger and, where it has an account, signed in."""
    found = Found(name, wanted(name))
    with started(name) as target, opened(target.url) as discovery:
        visits: list[tuple[str, dict[str, Any] | None]] = [(start, None) for start in target.starts]
        if target.account is not None:
            state = sign_in(target)
            visits += [(start, state) for start in target.starts if _is_inside(target.account.login_path, start)]
        for start, session in visits:
            began = time.monotonic()
            most = MAX_PAGES if session is not None or target.account is None else MAX_PAGES_OF_A_STRANGER
            tools, result = discovery.discover(f"{target.url}{start}", session, max_pages=most)
            found.seconds.append(time.monotonic() - began)
            found.failing += discovery.failing(tools, session)
            _add(found.tools, tools)
            found.skipped += [f"{one.what} {one.name}: {one.reason} {one.message}" for one in result.skipped]
    return found


def _is_inside(login_path: str, start: str) -> bool:
    """Whether the start is in the part of the site that the sign-in opens."""
    return login_path.startswith(start) and start != "/"


def _add(known: list[Tool], tools: Sequence[Tool]) -> None:
    """Add what another discovery of the same site has found beside."""
    requests = [as_request(tool) for tool in known]
    known += [tool for tool in tools if (request := as_request(tool)) is None or request not in requests]


@dataclass(slots=True)
class Discovery:
    """What a worker child discovers with."""

    browser: WarmBrowser
    egress: Egress

    def discover(self, url: str, state: dict[str, Any] | None, **changes: Any) -> tuple[list[Tool], SiteResult]:
        """Do what one job does; return the tools that it would have kept, and its result."""
        from tests.fakes import FakeJob  # noqa: PLC0415  # as bench.crawlers

        kept: list[Tool] = []
        with tempfile.TemporaryDirectory() as folder:
            job = FakeJob(Path(folder), self.egress)
            job.browser = JobBrowser(self.browser, job)
            request = SiteRequest(
                **{
                    "url": url,
                    "max_pages": MAX_PAGES,
                    "max_depth": MAX_DEPTH,
                    "max_tools": MAX_TOOLS,
                    "use_session": state is not None,
                    # The targets are ours, and made anew for each run.
                    "options": {"open_deletions": state is not None},
                    **changes,
                }
            )
            discoverer = Discoverer(
                SOURCES,
                record=lambda _job, _site, tools, _whole: kept.extend(tools),
                open_session=lambda *_: state or {},
                charge=lambda *_: None,
                proving=Proving(prove, assess, open_runner),
            )
            result = discoverer.discover_site(request, job)
        return kept, result

    def failing(self, tools: Sequence[Tool], state: dict[str, Any] | None) -> list[str]:
        """Run the tools that were tried and read once more; return those that fail, or failed a check that decides."""
        from tests.fakes import FakeJob  # noqa: PLC0415  # as bench.crawlers

        failing = [tool.name for tool in tools if failed_check(tool)]
        with tempfile.TemporaryDirectory() as folder:
            job = FakeJob(Path(folder), self.egress)
            job.browser = JobBrowser(self.browser, job)
            with Runner(job, session=state) as run:
                for tool in tools:
                    arguments = first_arguments(tool)
                    if tool.effect is Effect.READ and tool.checks and arguments is not None:
                        outcome = Trials(tool, run)(arguments)
                        if outcome is None or not is_success(outcome):
                            failing.append(tool.name)
        return failing


@contextmanager
def opened(*urls: str) -> Iterator[Discovery]:
    """Open a warm browser and a way out that reach these addresses."""
    policy = EgressPolicy(allow=frozenset(url.split("/")[2] for url in urls))
    with ExitStack() as stack:
        browser = WarmBrowser(BrowserOptions(policy=policy))
        stack.callback(browser.close)
        yield Discovery(browser, stack.enter_context(Egress(policy)))


def sign_in(target: Target) -> dict[str, Any]:
    """Return a sign-in state as a browser's ``storage_state`` gives it."""
    with closing(target.signed_in()) as client:
        cookies: Sequence[Any] = list(client.cookies.jar)
    host = target.url.split("/")[2].split(":")[0]
    return {
        "cookies": [
            {
                "name": one.name,
                "value": one.value,
                "domain": host,
                "path": one.path or "/",
                "expires": -1,
                "httpOnly": True,
                "secure": False,
                "sameSite": "Lax",
            }
            for one in cookies
        ],
        "origins": [],
    }
