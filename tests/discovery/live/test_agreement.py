"""Static and live reading of the same pages agree, but for what only one of them can know."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tasks.core.browser import Visit, WarmBrowser
from tasks.discovery.engine.form_types import form_type
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Control, Form, Page
from tasks.discovery.engine.schema import input_schema
from tasks.discovery.engine.snapshot import take_snapshot
from tests.core.browser.site import Site
from tests.discovery.sources.pages import PAGES

REAL = Path(__file__).parents[4] / "shared" / "data" / "forms"
# Of the real pages, so that it stays quick: about fifty.
EVERY = 10
# Only the reading is compared, not what the pages' scripts would do.
NO_SCRIPTS = "; ".join(
    f"{kind}-src 'none'" for kind in ("script", "img", "frame", "style", "object", "connect", "font")
)


@dataclass(slots=True)
class Agreement:
    """Counts of what was compared and what was the same."""

    all: Counter[str] = field(default_factory=Counter)
    same: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, is_same: bool) -> None:
        self.all[what] += 1
        self.same[what] += is_same

    def share(self, what: str) -> float:
        return self.same[what] / self.all[what]

    def __str__(self) -> str:
        return ", ".join(f"{what} {self.same[what]}/{count}" for what, count in self.all.items())


def compare(static: Page, live: Page, agreement: Agreement) -> None:
    agreement.note("pages with the same forms", len(static.forms) == len(live.forms))
    if len(static.forms) != len(live.forms):
        return
    for one, other in zip(static.forms, live.forms, strict=True):
        names = [[(control.type, control.name) for control in form.controls] for form in (one, other)]
        agreement.note("forms with the same controls", names[0] == names[1])
        agreement.note(
            "forms sent alike", (one.action, one.method, one.enctype) == (other.action, other.method, other.enctype)
        )
        agreement.note("forms of the same type", form_type(one).name == form_type(other).name)
        schemas = input_schema(one)["properties"], input_schema(other)["properties"]
        for name, expected in schemas[0].items():
            agreement.note("properties", expected == schemas[1].get(name))
        if names[0] == names[1]:
            for pair in zip(fields(one), fields(other), strict=True):
                agreement.note("controls", pair[0] == pair[1])


def fields(form: Form) -> Iterator[Control]:
    """Yield the controls without what a style sheet decides, and with what a list has chosen by itself."""
    for control in form.controls:
        options = control.options
        if control.type == "select-one" and not any(option.is_selected for option in options):
            first = next((at for at, option in enumerate(options) if not option.is_disabled), None)
            options = tuple(replace(option, is_selected=at == first) for at, option in enumerate(options))
        yield replace(control, is_visible=True, options=options)


def measure(browser: WarmBrowser, site: Site, pages: dict[str, str]) -> Agreement:
    """Open each page as it was stored, without its scripts, and compare."""
    for path, html in pages.items():
        body = html.encode("utf-8", "replace")
        site.serve(path, body, Content_Type="text/html; charset=utf-8", Content_Security_Policy=NO_SCRIPTS)

    async def work(visit: Visit) -> list[Page]:
        page = await visit.context.new_page()
        found = []
        for path in pages:
            await visit.open(page, site.url(path))
            found.append((await take_snapshot(page)).page)
        return found

    agreement = Agreement()
    for (path, html), live in zip(pages.items(), browser.run(work, timeout_s=200), strict=True):
        compare(read_page(html, url=site.url(path)), live, agreement)
    return agreement


def test_pages_of_ours_are_read_alike(site: Site, browser: WarmBrowser) -> None:
    """All but the controls that a browser gives a value of its own."""
    agreement = measure(browser, site, {f"/{path.name}": path.read_text() for path in sorted(PAGES.glob("*.html"))})
    assert {"controls", "properties"} >= {what for what in agreement.all if agreement.share(what) < 1}, agreement
    assert agreement.share("properties") >= 0.95, agreement


@pytest.mark.long
def test_real_pages_are_read_alike(site: Site, browser: WarmBrowser) -> None:
    """What is left are pages whose tags are misnested, which only a browser repairs."""
    if not REAL.is_dir():
        pytest.skip(f"no real pages here: {REAL.name}")
    records = [json.loads(line) for line in (REAL / "index.jsonl").read_text().splitlines()][::EVERY]
    pages = {
        f"/real-{at}.html": gzip.decompress((REAL / record["file"]).read_bytes()).decode("utf-8", "replace")
        for at, record in enumerate(records)
    }
    agreement = measure(browser, site, pages)
    print(agreement)
    for what in agreement.all:
        assert agreement.share(what) >= 0.95, agreement
