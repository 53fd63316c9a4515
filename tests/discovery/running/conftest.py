"""A server that keeps what it gets, one warm browser, and jobs that may reach both."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tests.discovery.running.echo import EchoServer
from tests.fakes import FakeJob


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoServer]:
    """The site."""
    server = EchoServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def policy(echo: EchoServer) -> EgressPolicy:
    """Lets the site be reached, and nothing else of this machine."""
    return EgressPolicy(allow=frozenset({echo.endpoint}), connect_timeout_s=5)


@pytest.fixture(scope="module")
def egress(policy: EgressPolicy) -> Iterator[Egress]:
    """The way out."""
    with Egress(policy) as egress:
        yield egress


@pytest.fixture(scope="module")
def warm(policy: EgressPolicy) -> Iterator[WarmBrowser]:
    """The module's browser; without a Chromium, what needs it is skipped."""
    if shutil.which("chromium") is None:
        pytest.skip("no Chromium here: make setup installs it")
    warm = WarmBrowser(BrowserOptions(policy=policy))
    yield warm
    warm.close()


@pytest.fixture
def job(egress: Egress, tmp_path: Path) -> FakeJob:
    """A job without a browser: a run that wanted one would fail."""
    return FakeJob(workdir=tmp_path, http=egress)


@pytest.fixture
def browser_job(job: FakeJob, warm: WarmBrowser) -> FakeJob:
    """A job with the browser."""
    job.browser = JobBrowser(warm, job)
    return job


@pytest.fixture(autouse=True)
def _clean(echo: EchoServer) -> Iterator[None]:
    """Forget what earlier tests sent, and keep refusals out of the output."""
    echo.received.clear()
    echo.extra_headers.clear()
    with capture_logs():
        yield
