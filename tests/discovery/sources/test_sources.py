"""All sources together."""

import json

from tasks.discovery.engine.sources import SOURCES
from tests.discovery.sources.sites import site_of
from tests.discovery.sources.test_openapi import PETSTORE
from tests.discovery.sources.test_opensearch import LINK, MEDIAWIKI
from tests.discovery.sources.test_schema_org import SITELINKS, page
from tests.discovery.sources.test_webmcp import FLIGHTS


def test_each_source_finds_its_own() -> None:
    """On one site that declares its functions in every way, surest first."""
    documents = {"/openapi.json": json.dumps(PETSTORE), "/osd.xml": MEDIAWIKI}
    site = site_of(LINK + page(SITELINKS), documents, declared=(FLIGHTS,))
    found = [tool.source for find in SOURCES for tool in find(site)]
    assert ["webmcp", "openapi", "opensearch", "schema_org"] == list(dict.fromkeys(found))


def test_a_site_that_declares_nothing_has_none() -> None:
    """And is asked for a few documents only."""
    site = site_of("<form action=/search><input name=q></form>")
    assert ["form"] == [tool.source for find in SOURCES for tool in find(site)]
