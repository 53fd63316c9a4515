"""Buttons are pressed to see what they would send, and nothing reaches the site."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core.browser import JobBrowser, WarmBrowser
from tasks.core.egress import Egress, EgressPolicy
from tasks.discovery.engine.dry_press import press_unsent
from tasks.discovery.engine.site import Site as ToolSite
from tasks.discovery.engine.sources import xhr
from tasks.discovery.tool import Effect, RequestCall
from tests.core.browser.site import Site
from tests.discovery.live.conftest import Snap
from tests.discovery.sources.pages import no_fetch
from tests.fakes import FakeJob

PAGE = """<title>Workers</title><body><input id=n type=number min=2>
<button id=grow type=button>Grow</button><button id=end type=button>Shut down</button>
<script>
const send = (path, body) => fetch(path, {method: 'POST', body: new URLSearchParams(body)});
grow.onclick = () => { if (confirm('Sure?')) send('/api/pool/grow', {n: n.value}); };
end.onclick = () => { send('/api/shutdown', {}); navigator.sendBeacon('/beacon', 'x'); location = '/gone'; };
</script>"""

OTHER_PAGE = """<title>Tasks</title><body><button id=revoke type=button>Revoke</button>
<script>revoke.onclick = () => fetch('/api/revoke', {method: 'POST'});</script>"""


MENUS = """<title>Start</title><body><button id=menu aria-expanded=false>Menu</button><button id=more>Load more</button>
<script>menu.onclick = () => 0; more.onclick = () => fetch('/api/items?page=2');</script>"""


def test_buttons_that_were_pressed_are_not_pressed_again(
    site: Site, browser: WarmBrowser, snap: Snap, tmp_path: Path
) -> None:
    """A page is not opened for them, nor another for a menu that is on both; for one more button it is."""
    start = replace(snap(site.page("/", MENUS)), pressed=frozenset({("menu", "", "Menu"), ("more", "", "Load more")}))
    other = snap(site.page("/other", MENUS.replace("Start", "Other")))
    last = snap(site.page("/last", MENUS.replace("<script>", "<button id=new>New</button><script>")))
    asked_before = len(site.paths)
    with Egress(EgressPolicy(allow=frozenset({site.endpoint}))) as egress:
        job = FakeJob(tmp_path, egress)
        job.browser = JobBrowser(browser, job)
        found = press_unsent([start, other, last], job, session=None)
    assert ["/last"] == [path for path in site.paths[asked_before:] if path != "/favicon.ico"]
    assert [0, 0, 1] == [len(one.exchanges) for one in found]


def test_what_buttons_would_send_is_seen_and_never_sent(
    site: Site, browser: WarmBrowser, snap: Snap, tmp_path: Path
) -> None:
    """Not even by the button that shuts down; the fields are filled in, and a question of the page is agreed to.

    What is open beside it keeps what is its own.
    """
    snapshot = snap(site.page("/", PAGE))
    asked_before = len(site.paths)
    with Egress(EgressPolicy(allow=frozenset({site.endpoint}))) as egress:
        job = FakeJob(tmp_path, egress)
        job.browser = JobBrowser(browser, job)
        pressed, other = press_unsent([snapshot, snap(site.page("/tasks", OTHER_PAGE))], job, session=None)
    assert [] == [line for line in job.lines if "could not be tried" in line]
    sent = {urlsplit(one.url).path: one for one in pressed.exchanges}
    assert {"/api/pool/grow", "/api/shutdown"} == set(sent)
    assert "n=2" == sent["/api/pool/grow"].request_body
    assert not any(one.is_sent for one in pressed.exchanges)
    assert ["/api/revoke"] == [urlsplit(one.url).path for one in other.exchanges]
    assert {"/", "/tasks", "/favicon.ico"} >= set(site.paths[asked_before:])
    tools = xhr.find_tools(ToolSite(site.url("").rstrip("/"), (pressed,), no_fetch))
    assert {Effect.WRITE, Effect.DESTROY} == {one.effect for one in tools}
    assert all(isinstance(one.call, RequestCall) and one.call.method == "POST" for one in tools)
