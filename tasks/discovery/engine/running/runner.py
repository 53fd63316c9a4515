"""Runs tools: checks the arguments, chooses between a plain request and the browser, and reads what came."""

from types import TracebackType
from typing import Any, Literal, Self

from tasks.core.job import JobContext
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.running.arguments import check_arguments
from tasks.discovery.engine.running.http_run import HTTPRuns
from tasks.discovery.engine.running.sessions import StorageState
from tasks.discovery.tool import Call, FormCall, RequestCall, Tool

Backend = Literal["http", "browser"]


class Runner:
    """Runs tools for one job; an ``engine.outcome.Run``. Whoever makes it closes it.

    Args:
        session: a stored sign-in state, opened (Playwright's ``storage_state``).
        prefer: ``http`` and ``browser`` insist where the tool can run both ways; ``auto`` takes a plain request where
            the evidence says that it is equal.
    """

    def __init__(
        self,
        job: JobContext,
        *,
        session: StorageState | None = None,
        prefer: Literal["auto", "http", "browser"] = "auto",
    ) -> None:
        self._job = job
        self._session = session
        self._prefer = prefer
        self._http = HTTPRuns(job, session=session)

    def __call__(self, tool: Tool, arguments: dict[str, Any]) -> Outcome:
        """Check ``arguments`` against the tool's schema and run it once.

        Raises:
            InputRejected: the arguments do not fit; nothing was sent.
            EgressRefused: the tool leads where it must not.
            Transient, Permanent: the run failed; the message names the step.
        """
        check_arguments(tool.input_schema, arguments)
        if self._backend(tool.call) == "http":
            return self._http.run(tool, arguments)
        from tasks.discovery.engine.running.browser_run import run_in_browser  # noqa: PLC0415  # needs Playwright

        return run_in_browser(self._job, tool, arguments, session=self._session)

    def close(self) -> None:
        """Close what it keeps open."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _backend(self, call: Call) -> Backend:
        match call:
            case RequestCall():
                return "http"
            case FormCall(is_plain=is_plain):
                wants_http = self._prefer == "http" or (self._prefer == "auto" and is_plain)
                return "http" if wants_http else "browser"
            case _:
                return "browser"
