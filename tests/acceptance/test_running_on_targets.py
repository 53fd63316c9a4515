"""Running on real software: httpbin's form is sent as the browser sends it; lists read as what they are made of."""

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tasks.core.browser import BrowserOptions, JobBrowser, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.discovery.engine.records import find_records
from tasks.discovery.engine.running import Runner
from tasks.discovery.engine.running.equality import compare_with_browser
from tasks.discovery.tool import RequestCall, Source, Tool
from tests.acceptance.targets.starting import started
from tests.acceptance.targets.target import Target
from tests.discovery.running.forms import tool_of
from tests.fakes import FakeJob

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ORDER = {
    "custname": "Ada & Söhne",
    "custtel": "+258 84",
    "custemail": "ada@example.org",
    "size": "large",
    "topping": ["mushroom", "bacon"],
    "delivery": "18:30",
    "comments": "ring twice\nthen wait",
}


def policy(target: Target) -> EgressPolicy:
    return EgressPolicy(allow=frozenset({urlsplit(target.url).netloc}))


@pytest.fixture(scope="module")
def httpbin() -> Iterator[Target]:
    with started("httpbin") as target:
        yield target


@pytest.fixture
def job(httpbin: Target, tmp_path: Path) -> Iterator[FakeJob]:
    """A job with a browser that may visit httpbin."""
    if shutil.which("chromium") is None:
        pytest.skip("no Chromium here: make setup installs it")
    with Egress(policy(httpbin)) as egress:
        warm = WarmBrowser(BrowserOptions(policy=policy(httpbin)))
        job = FakeJob(workdir=tmp_path, http=egress)
        job.browser = JobBrowser(warm, job)
        yield job
        warm.close()


@pytest.mark.xdist_group("target-httpbin")
def test_order_form_of_httpbin_is_sent_as_the_browser_sends_it(httpbin: Target, job: FakeJob) -> None:
    """httpbin echoes the request: both ways it got the same form, and the comparison had said so unsent."""
    with httpbin.client() as client:
        html = client.get("/forms/post").text
    tool = tool_of(html, url=f"{httpbin.url}/forms/post")
    for arguments in (ORDER, {}, {"comments": "€ 日本"}):
        equality = compare_with_browser(job, tool, arguments)
        assert (True, "") == (equality.is_equal, equality.difference)
    plain = tool.model_copy(update={"call": equality.call})
    with Runner(job) as by_http, Runner(job, prefer="browser") as by_browser:
        answers = [by_http(plain, ORDER), by_browser(plain, ORDER)]
    assert ["http", "browser"] == [answer.backend for answer in answers]
    seen: list[dict[str, Any]] = [answer.value for answer in answers]
    for part in ("form", "url", "args", "files", "data"):
        assert seen[1][part] == seen[0][part]
    for header in ("Content-Type", "Content-Length", "Origin", "Referer"):
        assert seen[1]["headers"][header] == seen[0]["headers"][header]
    assert ["bacon", "mushroom"] == seen[0]["form"]["topping"]


@pytest.mark.xdist_group("target-datasette")
def test_a_table_of_datasette_reads_as_its_json_twin(tmp_path: Path) -> None:
    """Every row and column of the page; the twin is the truth."""
    ends = ("", ".json?_shape=array", ".json")
    with (
        started("datasette") as target,
        Egress(policy(target)) as egress,
        Runner(FakeJob(workdir=tmp_path, http=egress)) as run,
    ):
        page, twin, table = (run(_get(f"{target.url}/library/loans{end}"), {}) for end in ends)
    truth = [{name: str(value) for name, value in row.items()} for row in twin.items]
    assert len(truth) >= 20
    read = [{name: value for name, value in row.items() if name in truth[0]} for row in page.items]
    # A foreign key is shown as the label it leads to and its number.
    assert [row | {"book": ""} for row in truth] == [row | {"book": ""} for row in read]
    assert all(row["book"] in seen["book"] for row, seen in zip(truth, read, strict=True))
    assert list(twin.items) == list(table.items)


@pytest.mark.xdist_group("target-django")
def test_a_change_list_of_django_s_admin_reads_as_records() -> None:
    """Each row with the columns of the list, and where it is changed; the boxes to select rows are no fields."""
    with started("django") as target, closing(target.signed_in()) as client:
        html = client.get("/admin/auth/user/").text
    records = find_records(html, url=f"{target.url}/admin/auth/user/")
    assert records
    for record in records:
        assert {"username", "username_url", "email_address", "staff_status"} <= set(record)
        assert urlsplit(record["username_url"]).path.startswith("/admin/auth/user/")


def _get(url: str) -> Tool:
    known = {"name": "get", "site": url, "found_on": url, "source": Source.OPENAPI, "prior": 1}
    return Tool(call=RequestCall(url=url), input_schema={"type": "object"}, **known)
