"""Every way in which a page can ask for something: nothing reaches what the guard denies, in a real browser.

Each way is tried twice: towards a server that is allowed, where it must arrive (so that the test tests something), and
towards a service of this machine, where it must not.
"""

import asyncio
import ipaddress
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import ada_url
import httpcore
import pytest
from playwright.async_api import Error as PlaywrightError

from tasks.core.browser import BrowserOptions, Visit, WarmBrowser
from tasks.core.egress import EgressPolicy, normalize_url
from tasks.core.egress.targets import read_target
from tasks.core.errors import EgressRefused
from tests.core.browser.site import Site
from tests.core.egress.raw_server import RawServer

DATA = Path(__file__).resolve().parents[4] / "shared" / "data" / "egress_addresses.json"
_WITHIN_S = 20.0
# A visit tells apart at most 100 refused addresses.
BATCH = 60
# Pages that load side by side.
TOGETHER = 6

# What a page says to ask for {to}, which is ``//host:port/path``; {site} is its own site.
WAYS = {
    "301": "<script>location = '/301?to=' + encodeURIComponent('http:{to}')</script>",
    "302": "<img src='/302?to=http:{to}'>",
    "303": "<iframe src='/303?to=http:{to}'></iframe>",
    "307": "<script>fetch('/307?to=http:{to}', {{mode: 'no-cors', method: 'POST', body: 'x'}})</script>",
    "308": "<link rel=stylesheet href='/308?to=http:{to}'>",
    "meta refresh": "<meta http-equiv=refresh content='0; url=http:{to}'>",
    "location": "<script>location.href = 'http:{to}'</script>",
    "location replace": "<script>setTimeout(() => location.replace('http:{to}'), 10)</script>",
    "iframe": "<iframe src='http:{to}'></iframe>",
    "iframe of a blob": "<script>let f = document.createElement('iframe'); f.src = URL.createObjectURL(new Blob("
    "['<img src=http:{to}>'], {{type: 'text/html'}})); document.documentElement.append(f)</script>",
    "srcdoc": "<iframe srcdoc='<img src=http:{to}>'></iframe>",
    "fetch": "<script>fetch('http:{to}', {{mode: 'no-cors'}})</script>",
    "keepalive fetch": "<script>fetch('http:{to}', {{mode: 'no-cors', keepalive: true}}); location = '/'</script>",
    "https fetch": "<script>fetch('https:{to}', {{mode: 'no-cors'}})</script>",
    "XHR": "<script>let x = new XMLHttpRequest(); x.open('PUT', 'http:{to}'); x.send('x')</script>",
    "WebSocket": "<script>new WebSocket('ws:{to}')</script>",
    "secure WebSocket": "<script>new WebSocket('wss:{to}')</script>",
    "EventSource": "<script>new EventSource('http:{to}')</script>",
    "beacon": "<script>navigator.sendBeacon('http:{to}', 'x')</script>",
    "form get": "<form action='http:{to}'><input name=q value=1></form><script>document.forms[0].submit()</script>",
    "form post": "<form method=post action='http:{to}'><input name=q value=1></form>"
    "<script>document.forms[0].submit()</script>",
    "formaction": "<form><button formmethod=post formaction='http:{to}'></form>"
    "<script>document.querySelector('button').click()</script>",
    "image": "<img src='http:{to}'>",
    "srcset": "<img srcset='http:{to} 1x'>",
    "script": "<script src='http:{to}'></script>",
    "module": "<script type=module>import('http:{to}')</script>",
    "stylesheet": "<link rel=stylesheet href='http:{to}'>",
    "css import": "<style>@import 'http:{to}';</style>",
    "css image": "<div style='width: 9px; height: 9px; background: url(http:{to})'></div>",
    "font": "<style>@font-face {{ font-family: f; src: url(http:{to}) }}</style><p style='font-family: f'>text</p>",
    "video": "<video autoplay muted src='http:{to}'></video>",
    "object": "<object data='http:{to}'></object>",
    "svg image": "<svg><image href='http:{to}' width=9 height=9 /></svg>",
    "preload": "<link rel=preload as=image href='http:{to}'>",
    "window.open": "<script>open('http:{to}')</script>",
    "window.open noopener": "<script>open('http:{to}', '_blank', 'noopener')</script>",
    "link to a new tab": "<a target=_blank href='http:{to}'>x</a><script>document.links[0].click()</script>",
    "download": "<a download href='http:{to}'>x</a><script>document.links[0].click()</script>",
    "worker fetch": "<script>new Worker('/worker.js?' + encodeURIComponent('http:{to}'))</script>",
    "shared worker": "<script>new SharedWorker('/worker.js?' + encodeURIComponent('http:{to}'))</script>",
}
# These ask nobody in a browser without a network of its own; nothing may arrive all the same.
SILENT_WAYS = {
    "service worker": "<script>navigator.serviceWorker?.register('/sw.js?' + encodeURIComponent('http:{to}'))"
    ".catch(() => 0); setTimeout(() => fetch('/through-sw').catch(() => 0), 200)</script>",
    "preconnect": "<link rel=preconnect href='http:{to}'><link rel=preconnect href='https:{to}' crossorigin>",
    "prefetch": "<link rel=dns-prefetch href='http:{to}'><link rel=prefetch href='http:{to}'>",
    "speculation": '<script type=speculationrules>{{"prerender": [{{"urls": ["http:{to}"]}}]}}</script>',
    "STUN and TURN": "<script>let c = new RTCPeerConnection({{iceServers: [{{urls: 'stun:{endpoint}'}}, "
    "{{urls: ['turn:{endpoint}?transport=udp', 'turn:{endpoint}?transport=tcp', 'turns:{endpoint}?transport=tcp'], "
    "username: 'u', credential: 'p'}}]}}); c.createDataChannel('x'); c.createOffer().then(o => "
    "c.setLocalDescription(o))</script>",
    "WebTransport": "<script>try {{ new WebTransport('https:{to}').ready.catch(() => 0) }} catch (e) {{}}</script>",
    "ping": "<a ping='http:{to}' href='#'>x</a><script>document.links[0].click()</script>",
    "file frame": "<iframe src='file:///etc/passwd'></iframe><img src='file:///etc/passwd'>",
}
_WORKER = "fetch(decodeURIComponent(location.search.slice(1)), {mode: 'no-cors'})"


@pytest.fixture(scope="module", autouse=True)
def _scripts(site: Site) -> None:
    site.script("/worker.js", _WORKER)
    site.script("/sw.js", f"self.addEventListener('fetch', e => e.respondWith({_WORKER}))")
    site.serve("/through-sw", b"")


def slug(name: str) -> str:
    return name.lower().replace(" ", "-").replace(".", "-")


def fill(way: str, endpoint: str) -> str:
    return way.format(to=f"//{endpoint}/x", endpoint=endpoint)


async def wait_for(claim: Callable[[], bool]) -> bool:
    until = time.monotonic() + _WITHIN_S
    while not claim() and time.monotonic() < until:
        await asyncio.sleep(0.02)
    return claim()


async def load(visit: Visit, url: str) -> None:
    """Load a page that may lead away before it is loaded."""
    page = await visit.context.new_page()
    with suppress(PlaywrightError):
        await page.goto(url, wait_until="commit")


def test_ways_reach_who_is_allowed_and_nobody_else(site: Site, friend: RawServer, denied: RawServer) -> None:
    """Each way reaches its friend; the denied service gets neither a connection nor a datagram, and the job can tell.

    Each way has two names of its own, both of which resolve to this machine; the first of them is allowed.
    """
    friends = {name: f"{slug(name)}.friend.net:{friend.port}" for name in WAYS}
    strangers = {name: f"{slug(name)}.denied.net:{denied.port}" for name in WAYS}
    pages = [
        site.page(f"/{kind}-{slug(name)}", fill(WAYS[name], endpoints[name]))
        for name in WAYS
        for kind, endpoints in (("good", friends), ("bad", strangers))
    ]
    asked: set[str] = set()

    def resolve(host: str, port: int) -> Sequence[str]:
        asked.add(f"{host}:{port}")
        return ["127.0.0.1"]

    async def work(visit: Visit) -> dict[str, int]:
        for start in range(0, len(pages), TOGETHER):
            await asyncio.gather(*(load(visit, url) for url in pages[start : start + TOGETHER]))
        await wait_for(lambda: asked >= set(friends.values()) and set(visit.refused) >= set(strangers.values()))
        return visit.refused

    allow = frozenset({site.endpoint, *friends.values()})
    policy = EgressPolicy(allow=allow, allowed_ports=frozenset({80, 443, denied.port}), connect_timeout_s=5)
    warm = WarmBrowser(BrowserOptions(policy=policy), resolver=resolve)
    try:
        refused = warm.run(work, timeout_s=100)
    finally:
        warm.close()
    assert [] == [name for name in WAYS if friends[name] not in asked]
    assert [] == [name for name in WAYS if strangers[name] not in refused]
    assert set(strangers.values()) == set(refused)
    assert friend.arrivals >= len(WAYS)
    assert 0 == denied.arrivals


def test_quiet_ways_reach_nobody(browser: WarmBrowser, site: Site, denied: RawServer) -> None:
    """What goes by UDP, by a service worker or ahead of time does not arrive either; no service worker is there."""
    pages = [
        site.page(f"/quiet-{number}", fill(way, denied.endpoint)) for number, way in enumerate(SILENT_WAYS.values())
    ]

    async def work(visit: Visit) -> int:
        for url in pages:
            await load(visit, url)
        await asyncio.sleep(2.0)
        return len(visit.context.service_workers)

    assert 0 == browser.run(work, timeout_s=60)
    assert 0 == denied.arrivals


def hostile_urls(port: int) -> tuple[list[str], list[str]]:
    """Return the data file's URLs, each as it is and at ``port``; and its addresses, with each range's ends."""
    if not DATA.is_file():
        pytest.skip("../shared/data is absent")
    data = json.loads(DATA.read_text(encoding="utf-8"))
    networks = [ipaddress.ip_network(cidr) for cidr in data["denied_cidrs"]]
    addresses = [*data["embedded"], *(str(network[position]) for network in networks for position in (0, -1))]
    literals = [f"http://[{address}]/" if ":" in address else f"http://{address}/" for address in addresses]
    texts = dict.fromkeys([*data["hostile_urls"], *(on_port(url, port) for url in data["hostile_urls"])])
    return list(texts), literals


def on_port(url: str, port: int) -> str:
    """Return ``url`` with ``port``, where it is one that can be reached over HTTP."""
    href = normalize_url(url)
    if href is None or not href.startswith("http"):
        return url
    parsed = ada_url.URL(href)
    parsed.port = str(port)
    return str(parsed.href)


def test_every_hostile_address_is_refused_to_a_page(
    site: Site, policy: EgressPolicy, denied: RawServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an address to open, an image, a frame and a fetch: no connection is made but to the site, no name looked up.

    Every URL is tried as it is and at the port of a service that listens here, so that the address is what is refused.
    """
    texts, literals = hostile_urls(denied.port)
    connected: set[tuple[str, int]] = set()
    connect_tcp = httpcore.AnyIOBackend.connect_tcp

    async def noting(backend: httpcore.AnyIOBackend, host: str, port: int, *options: object) -> object:
        connected.add((host, port))
        return await connect_tcp(backend, host, port, *options)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", noting)
    ask = """(urls) => { for (const url of urls) {
        try { fetch(url, {mode: 'no-cors'}).catch(() => 0) } catch (e) {}
        new Image().src = url;
    } }"""
    frame = """(urls) => { for (const url of urls) if (!/^javascript/.test(url))
        document.body.append(Object.assign(document.createElement('iframe'), {src: url})) }"""

    async def work(visit: Visit, batch: list[str]) -> set[str]:
        page = await visit.context.new_page()
        for url in batch:
            with pytest.raises(EgressRefused):
                await visit.open(page, url, timeout_s=10)
            if url in texts:
                with suppress(PlaywrightError):
                    await page.goto(url, timeout=5000, wait_until="commit")
        # Another page: the last refusal may still be on its way to this one.
        asking = await visit.context.new_page()
        await visit.open(asking, site.url())
        await asking.evaluate(ask, batch)
        await asking.evaluate(frame, [url for url in batch if url in texts])
        await asyncio.sleep(1.0)
        return set(visit.refused)

    refused: set[str] = set()
    urls = texts + literals
    warm = WarmBrowser(BrowserOptions(policy=policy), resolver=lambda host, port: pytest.fail(f"looked up {host}"))
    try:
        for start in range(0, len(urls), BATCH):
            batch = urls[start : start + BATCH]
            refused |= warm.run(lambda visit, batch=batch: work(visit, batch), timeout_s=60)
    finally:
        warm.close()
    assert set() == {read_target(url).endpoint for url in urls if is_readable(url)} - refused
    assert {("127.0.0.1", site.port)} == connected
    assert 0 == denied.arrivals


def is_readable(url: str) -> bool:
    """Whether it is http without credentials and an odd host, hence something that Chromium asks the proxy for."""
    try:
        read_target(url)
    except ValueError:
        return False
    return True


def test_answers_that_flip_reach_nobody(policy: EgressPolicy, site: Site, denied: RawServer) -> None:
    """A name that is public when it is first asked for and loopback from then on: each connection goes by one look-up,
    and none to this machine."""
    asked: list[str] = []

    def flipping(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["192.0.2.1"] if len(asked) % 2 else ["127.0.0.1", "93.184.216.34"]

    url = f"http://rebind.example.com:{denied.port}/"

    async def work(visit: Visit) -> dict[str, int]:
        page = await visit.context.new_page()
        await visit.open(page, site.url())
        for _ in range(4):
            await page.evaluate("(url) => fetch(url, {mode: 'no-cors'}).catch(() => 0)", url)
        return visit.refused

    warm = WarmBrowser(BrowserOptions(policy=policy), resolver=flipping)
    try:
        refused = warm.run(work, timeout_s=60)
    finally:
        warm.close()
    assert {f"rebind.example.com:{denied.port}": len(asked)} == refused
    assert len(asked) >= 4
    assert 0 == denied.arrivals


@pytest.mark.parametrize("url", ["file:///etc/passwd", "FILE:/etc/passwd", "view-source:file:///etc/passwd"])
def test_files_are_refused_even_to_the_engine(browser: WarmBrowser, url: str) -> None:
    """An engine that opens a file past ``Visit.open`` gets an error, and no text."""

    async def work(visit: Visit) -> str:
        page = await visit.context.new_page()
        try:
            await page.goto(url)
        except PlaywrightError:
            return "refused"
        return await page.content()

    assert "refused" == browser.run(work, timeout_s=30)
