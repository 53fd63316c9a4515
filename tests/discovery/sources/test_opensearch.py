"""OpenSearch descriptions, as well-known software writes them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discovery.engine.sources.opensearch import USUAL_PATHS, find_tools
from tasks.discovery.tool import Effect, Place, RequestCall, Tool
from tests.discovery.sources.sites import ORIGIN, Documents, site_of
from tests.discovery.sources.valid import check_tools

LINK = "<link rel=search type=application/opensearchdescription+xml title=Shop href=/osd.xml>"
NAMESPACE = 'xmlns="http://a9.com/-/spec/opensearch/1.1/"'
# What MediaWiki's opensearch_desc.php answers with.
MEDIAWIKI = f"""<?xml version="1.0"?>
<OpenSearchDescription {NAMESPACE} xmlns:moz="http://www.mozilla.org/2006/browser/search/">
<ShortName>Wiki (en)</ShortName><Description>Wiki (en)</Description>
<Image height="16" width="16" type="image/x-icon">{ORIGIN}/favicon.ico</Image>
<Url type="text/html" method="get" template="{ORIGIN}/w/index.php?title=Special:Search&amp;search={{searchTerms}}"/>
<Url type="application/x-suggestions+json" method="get"
 template="{ORIGIN}/w/api.php?action=opensearch&amp;search={{searchTerms}}&amp;namespace=0"/>
<Url type="application/x-suggestions+xml" method="get"
 template="{ORIGIN}/w/api.php?action=opensearch&amp;format=xml&amp;search={{searchTerms}}&amp;namespace=0"/>
<moz:SearchForm>{ORIGIN}/wiki/Special:Search</moz:SearchForm></OpenSearchDescription>"""
# The detailed example of the specification, with its hosts changed.
DETAILED = f"""<?xml version="1.0" encoding="UTF-8"?>
<OpenSearchDescription {NAMESPACE}>
  <ShortName>Web Search</ShortName><Description>Use Example.com to search the Web.</Description>
  <Tags>example web</Tags><Contact>admin@example.com</Contact>
  <Url type="application/atom+xml"
    template="/?q={{searchTerms}}&amp;pw={{startPage?}}&amp;n={{count?}}&amp;format=atom" pageOffset="0"/>
  <Url type="text/html"
    template="/?q={{searchTerms}}&amp;pw={{startPage?}}&amp;lang={{language?}}&amp;enc={{inputEncoding?}}"/>
  <Url type="application/json" indexOffset="0"
    template="/find/{{searchTerms}}?start={{startIndex}}&amp;box={{geo:box?}}"/>
  <Url type="application/opensearchdescription+xml" rel="self" template="/osd.xml?x={{searchTerms}}"/>
  <Query role="example" searchTerms="cat"/>
  <LongName>Example.com Web Search</LongName><InputEncoding>UTF-8</InputEncoding>
</OpenSearchDescription>"""


def tools_of(xml: str, **options: Any) -> list[Tool]:
    tools = find_tools(site_of(LINK, {"/osd.xml": ("application/opensearchdescription+xml", xml)}, **options))
    check_tools(tools)
    return tools


def request(tool: Tool) -> RequestCall:
    assert isinstance(tool.call, RequestCall)
    return tool.call


def test_mediawiki_offers_its_search_and_its_suggestions() -> None:
    """The fixed parts of the query are always sent; what it answers with is asked for."""
    search, suggestions, as_xml = tools_of(MEDIAWIKI)
    assert ("search", "Search Wiki (en)", Effect.READ) == (search.name, search.title, search.effect)
    assert f"{ORIGIN}/w/index.php" == request(search).url
    assert (("title", "Special:Search"),) == request(search).query
    assert [("query", Place.QUERY, "search")] == [(s.input, s.place, s.name) for s in request(search).slots]
    assert ["query"] == search.input_schema["required"]
    assert "suggestions" == suggestions.purpose == as_xml.purpose
    assert (("accept", "application/x-suggestions+json"),) == request(suggestions).headers


def test_parameters_become_inputs_with_their_bounds() -> None:
    """Optional ones may be left out, offsets start where the description says, encodings are not asked for."""
    as_json, atom, page = tools_of(DETAILED)
    assert f"{ORIGIN}/find/{{searchTerms}}" == request(as_json).url
    assert ["query", "start_index"] == as_json.input_schema["required"]
    assert 0 == as_json.input_schema["properties"]["start_index"]["minimum"]
    assert {"query", "start_page", "count"} == set(atom.input_schema["properties"])
    assert 0 == atom.input_schema["properties"]["start_page"]["minimum"]
    assert (("enc", "UTF-8"),) == request(page).query
    assert ({"query": "cat"},) == page.examples == atom.examples
    assert () == as_json.examples


def test_pythons_documentation_is_searched_on_its_own_host() -> None:
    """A description with a template on another host says so, and is less sure."""
    url = "https://docs.python.example/3/search.html?q={searchTerms}"
    xml = f'<OpenSearchDescription {NAMESPACE}><ShortName>Python</ShortName><Url type="text/html" template="{url}"/>'
    (tool,) = tools_of(xml + "</OpenSearchDescription>")
    assert "Calls another host: docs.python.example" == tool.evidence[1]
    assert tool.prior < 0.5


def test_parameters_of_mozilla_and_of_a_post_are_sent_as_a_form() -> None:
    """``Param`` elements stand for pairs of the query, or of the body."""
    xml = (
        f"<OpenSearchDescription {NAMESPACE}><Url type='text/html' method='POST' template='/search'>"
        "<Param name='q' value='{searchTerms}'/><Param name='site' value='shop'/></Url></OpenSearchDescription>"
    )
    (tool,) = tools_of(xml)
    assert ("POST", {"site": "shop"}) == (request(tool).method, request(tool).body)
    assert [("q", Place.FORM)] == [(slot.name, slot.place) for slot in request(tool).slots]
    assert Effect.READ == tool.effect


@pytest.mark.parametrize(
    "template",
    [
        "/search?q=x",  # nothing to search for
        "/search?q={searchTerms}&amp;key={acme:key}",  # a required parameter of somebody's
        "/search?q=site:{searchTerms}",  # no whole value
        "https://{searchTerms}.shop.example/",
        "http://shop.example/?q={searchTerms}",  # leaves encryption
        "https://10.0.0.1/?q={searchTerms}",
        "javascript:alert({searchTerms})",
        "https://user:secret@shop.example/?q={searchTerms}",
    ],
)
def test_templates_that_cannot_or_should_not_be_used_are_left(template: str) -> None:
    """No tool is better than a wrong one."""
    xml = f'<OpenSearchDescription {NAMESPACE}><Url type="text/html" template="{template}"/></OpenSearchDescription>'
    assert [] == tools_of(xml)


def test_usual_paths_are_tried_until_one_answers() -> None:
    """Only where no page links to a description."""
    site = site_of("<p>", {USUAL_PATHS[1]: MEDIAWIKI})
    assert 3 == len(find_tools(site))
    assert isinstance(site.fetch, Documents)
    assert [ORIGIN + path for path in USUAL_PATHS[:2]] == site.fetch.asked


@pytest.mark.parametrize(
    "xml",
    [
        '<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;">]>' + MEDIAWIKI.partition("?>")[2],
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">' + MEDIAWIKI.partition("?>")[2],
        MEDIAWIKI[:-20],
        "<rss/>",
        "",
    ],
)
def test_entities_and_malformed_xml_are_refused(xml: str) -> None:
    """A description defines no entities."""
    assert [] == tools_of(xml)


@given(st.text(max_size=100), st.text("{}?&=/searchTerms:%#@. \\", max_size=60))
def test_any_description_gives_valid_tools_or_none(name: str, template: str) -> None:
    """Names and templates are a stranger's."""
    from xml.sax.saxutils import escape, quoteattr

    legal = "".join(sign for sign in name if sign.isprintable())
    tools_of(
        f"<OpenSearchDescription {NAMESPACE}><ShortName>{escape(legal)}</ShortName><Url type='text/html' "
        f"template={quoteattr('/s?q={searchTerms}&' + template)}/><Url template={quoteattr(template)}/>"
        "</OpenSearchDescription>"
    )


@given(st.text(max_size=200))
def test_any_text_in_place_of_a_description_is_refused(text: str) -> None:
    """Nothing makes it fail."""
    assert [] == tools_of(text)


def test_a_header_leads_to_the_description() -> None:
    """As RFC 8288 has it; a link to a page that searches is no description."""
    documents = {"/hidden/osd": ("application/opensearchdescription+xml", DETAILED)}
    header = '</search>; rel=search, </hidden/osd>; rel="search"; type="application/opensearchdescription+xml"'
    site = site_of("<p>Hello", documents, link_header=header)
    assert find_tools(site)
    assert isinstance(site.fetch, Documents)
    assert [f"{ORIGIN}/hidden/osd"] == site.fetch.asked
