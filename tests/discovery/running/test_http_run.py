"""A plain run follows redirects, keeps cookies and names its page as a browser does, and launches none."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tasks.core.egress import Egress, EgressPolicy
from tasks.core.errors import EgressRefused, InputRejected, Permanent, Transient
from tasks.discovery.engine.outcome import Outcome
from tasks.discovery.engine.running import Runner
from tasks.discovery.engine.running.sessions import cookies_for
from tasks.discovery.tool import FormCall, FormField, PageToolCall, Place, RequestCall, Slot, Source, Tool
from tests.core.browser.site import Site
from tests.core.egress.loopback import respond
from tests.fakes import FakeJob

Q = {"type": "object", "properties": {"q": {"type": "string"}, "pw": {"type": "string", "format": "password"}}}


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def job(site: Site, tmp_path: Path) -> Iterator[FakeJob]:
    """A job without a browser."""
    with Egress(EgressPolicy(allow=frozenset({site.endpoint}), connect_timeout_s=2)) as egress:
        yield FakeJob(workdir=tmp_path, http=egress)


def tool(call: Any, schema: dict[str, Any] = Q, found_on: str = "http://example.org/") -> Tool:
    return Tool(
        name="t", site="http://x", found_on=found_on, source=Source.FORM, prior=1, call=call, input_schema=schema
    )


def run(job: FakeJob, made: Tool, arguments: dict[str, Any], **options: Any) -> Outcome:
    with Runner(job, **options) as runner:
        return runner(made, arguments)


def search_form(site: Site, **changes: Any) -> Tool:
    fields = (FormField(name="q", type="text", input="q"), FormField(name="pw", type="password", input="pw"))
    call = FormCall(page_url=site.url("/form?a#b"), url=site.url("/to"), fields=fields, is_plain=True)
    return tool(call.model_copy(update=changes))


def told(handler: BaseHTTPRequestHandler) -> None:
    """Answer with what came, as JSON."""
    body = handler.body.decode()  # type: ignore[attr-defined]  # what Loopback's handler has read
    headers = {name.lower(): value for name, value in handler.headers.items()}
    answer = {"method": handler.command, "path": handler.path, "headers": headers, "body": body}
    respond(handler, json.dumps(answer).encode(), Content_Type="application/json")


def test_a_wrong_argument_is_refused_before_any_request(site: Site, job: FakeJob) -> None:
    """Nothing was sent."""
    with pytest.raises(InputRejected):
        run(job, search_form(site), {"q": 1})
    assert [] == site.paths


def test_a_form_s_request_names_its_page_as_a_browser_would(site: Site, job: FakeJob) -> None:
    """Origin with what changes something, Referer without the fragment."""
    site.answers["/to"] = told
    get = run(job, search_form(site), {"q": "a"}).value
    assert (None, site.url("/form?a")) == (get["headers"].get("origin"), get["headers"]["referer"])
    post = run(job, search_form(site, method="POST"), {"q": "a"}).value
    assert (site.url("")[:-1] if site.url("").endswith("/") else site.url(""), "q=a&pw=") == (
        post["headers"]["origin"],
        post["body"],
    )
    assert "application/x-www-form-urlencoded" == post["headers"]["content-type"]


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [(301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (307, "POST", "POST"), (308, "POST", "POST"),
     (302, "PUT", "PUT"), (303, "PUT", "GET"), (302, "GET", "GET")],
)  # fmt: skip
def test_redirects_keep_or_change_the_method_as_fetch_says(
    site: Site, job: FakeJob, status: int, method: str, expected: str
) -> None:
    """A body goes on only with its method, and then with its type."""
    site.answers["/end"] = told
    slot = Slot(input="q", place=Place.JSON if method != "GET" else Place.QUERY)
    call = RequestCall(method=method, url=site.url(f"/{status}?to=/end"), slots=(slot,))
    outcome = run(job, tool(call), {"q": "a"})
    value = outcome.value
    has_body = expected == method and method != "GET"
    assert (expected, site.url("/end")) == (value["method"], outcome.url)
    assert ('{"q":"a"}' if has_body else "", has_body) == (value["body"], "content-type" in value["headers"])


def test_redirects_in_a_circle_and_out_of_bounds_end(site: Site, job: FakeJob) -> None:
    """A redirect is judged like the first address."""
    site.redirect("/round", site.url("/round"))
    with pytest.raises(Permanent, match="redirects"):
        run(job, tool(RequestCall(url=site.url("/round"))), {})
    site.redirect("/out", "http://169.254.169.254/latest")
    with pytest.raises(EgressRefused):
        run(job, tool(RequestCall(url=site.url("/out"))), {})


def test_tokens_are_read_anew_and_the_page_s_cookie_goes_along(site: Site, job: FakeJob) -> None:
    """The page is read once before the form is sent; the next run begins without that cookie."""
    loads: list[str | None] = []

    def page(handler: BaseHTTPRequestHandler) -> None:
        loads.append(handler.headers.get("Cookie"))
        token = f"<input type=hidden name=csrf value='n{len(loads)}&amp;'>"
        html = f"<form action=/to method=post>{token}<input name=q></form>"
        respond(handler, html.encode(), Content_Type="text/html", Set_Cookie=f"sid={len(loads)}; Path=/")

    site.answers["/form?a"] = site.answers["/form"] = page
    site.answers["/to"] = told
    fields = (
        FormField(name="csrf", type="hidden", value="old", is_token=True),
        FormField(name="q", type="text", input="q"),
    )
    made = search_form(site, method="POST", fields=fields)
    with Runner(job) as runner:
        values = [runner(made, {"q": "x"}).value for _ in range(2)]
    assert ["csrf=n1%26&q=x", "csrf=n2%26&q=x"] == [value["body"] for value in values]
    assert ["sid=1", "sid=2"] == [value["headers"]["cookie"] for value in values]
    assert [None, None] == loads


def test_a_page_without_its_form_ends_the_run_before_anything_is_sent(site: Site, job: FakeJob) -> None:
    """The remedy is named."""
    site.page("/form?a", "<p>gone</p>")
    site.answers["/form"] = site.answers["/form?a"]
    with pytest.raises(Permanent, match="discover the site again"):
        run(job, search_form(site, needs_page=True, fields=(FormField(name="t", type="hidden", is_token=True),)), {})
    assert "/to" not in [path.partition("?")[0] for path in site.paths]


def test_a_session_s_cookies_go_where_they_belong_and_nowhere_else(site: Site, job: FakeJob) -> None:
    """By host, path and time; a cookie input joins them."""
    site.answers["/to"] = told
    state = {
        "cookies": [
            {"name": "sid", "value": "s", "domain": "127.0.0.1", "path": "/", "expires": -1},
            {"name": "late", "value": "l", "domain": "127.0.0.1", "path": "/", "expires": 1000},
            {"name": "deep", "value": "d", "domain": "127.0.0.1", "path": "/deep", "expires": -1},
            {"name": "other", "value": "o", "domain": ".example.org", "path": "/", "expires": -1},
        ]
    }
    call = RequestCall(url=site.url("/to"), slots=(Slot(input="q", place=Place.COOKIE),))
    sent = run(job, tool(call), {"q": "x y"}, session=state).value["headers"]["cookie"]
    assert {"sid=s", "q=x%20y"} == set(sent.split("; "))
    assert {"sid": "s", "deep": "d"} == cookies_for(state, "http://127.0.0.1/deep/x")
    assert {"other": "o"} == cookies_for(state, "http://sub.example.org/")
    assert {} == cookies_for(None, "http://example.org/")


def test_a_password_is_in_nothing_that_is_kept(site: Site, job: FakeJob) -> None:
    """Not in what was sent, not in the address, not in the log."""
    site.page("/to", "<p>fine</p>")
    site.answers["/to"] = lambda handler: respond(handler, b"<p>fine", Content_Type="text/html")
    outcome = run(job, search_form(site), {"q": "a", "pw": "s3 cret&"})
    assert site.url("/to?q=a&pw=***") == outcome.url == outcome.sent["url"]
    assert "cret" not in "".join(job.lines)
    assert "/to?q=a&pw=s3+cret%26" == site.paths[-1]


def test_a_status_is_an_answer_and_silence_is_none(site: Site, job: FakeJob) -> None:
    """What cannot be reached may be tried again."""
    outcome = run(job, tool(RequestCall(url=site.url("/nowhere"))), {})
    assert (404, False) == (outcome.status, outcome.is_ok)
    with Egress(EgressPolicy(allow=frozenset({"127.0.0.1:1"}))) as egress:
        unreachable = FakeJob(workdir=job.workdir, http=egress)
        with pytest.raises(Transient, match=r"127\.0\.0\.1:1"):
            run(unreachable, tool(RequestCall(url="http://127.0.0.1:1/")), {})


def test_a_form_that_nothing_vouches_for_asks_for_the_browser(site: Site, job: FakeJob) -> None:
    """And a page's own tool never runs as a plain request."""
    job.browser = None
    with pytest.raises(AttributeError):
        run(job, search_form(site, is_plain=False), {"q": "a"})
    with pytest.raises(AttributeError):
        run(job, tool(PageToolCall(page_url=site.url("/"), tool_name="x")), {}, prefer="http")
    assert [] == site.paths


def test_answers_are_read_in_their_own_charset(site: Site, job: FakeJob) -> None:
    """From the header, else from the page itself."""
    html = "<meta charset='windows-1251'><title>Привет</title>"
    site.serve("/ru", html.encode("cp1251"), Content_Type="text/html")
    assert "Привет" == run(job, tool(RequestCall(url=site.url("/ru"))), {}).value["title"]
    site.serve("/jp", "<title>日本</title>".encode("cp932"), Content_Type="text/html; charset=Shift_JIS")
    assert "日本" == run(job, tool(RequestCall(url=site.url("/jp"))), {}).value["title"]
    site.serve("/picture", b"\x89PNG", Content_Type="image/png")
    assert "" == run(job, tool(RequestCall(url=site.url("/picture"))), {}).text
