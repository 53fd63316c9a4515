"""Short pages made up here, of which a table, a list, code or a quotation is a large part.

Each is a title, what stands below it, a phrase from the piece that must not get lost, and the template around it.
"""

from dataclasses import dataclass

_NAV = '<nav><a href="/">Home</a> <a href="/docs/">Docs</a> <a href="/blog/">Blog</a> <a href="/about/">About</a></nav>'
_MENU = "".join(f'<li><a href="/{word}/">{word.title()}</a></li>' for word in ["home", "products", "prices", "team"])
_SIDE = (
    "<h3>Recent posts</h3><ul><li><a href='/p/1'>New data centre opens</a><li><a href='/p/2'>Our autumn walk</a></ul>"
)
_FOOT = (
    '<footer><p>Copyright 2026 Larkspur. <a href="/privacy/">Privacy</a> <a href="/imprint/">Imprint</a></p></footer>'
)
NEVER = ("Blog", "Prices", "Recent posts", "Privacy", "Newsletter", "Previous Install", "Random page")
"""What stands around the text in one template or another."""

TEMPLATES = {
    "semantic": f"<header>{_NAV}</header><main><h1>TITLE</h1>BODY</main>{_FOOT}",
    "divs": f"<div id=header><ul class=menu>{_MENU}</ul></div><div id=content><h1>TITLE</h1>BODY</div>{_FOOT}",
    "wordpress": f"<header class=site-header><ul class=menu>{_MENU}</ul></header><div id=primary><main class=site-main>"
    "<article class='page hentry'><header class=entry-header><h1 class=entry-title>TITLE</h1></header>"
    f"<div class=entry-content>BODY</div></article></main></div><div class=sidebar>{_SIDE}</div>{_FOOT}",
    "docusaurus": f"{_NAV}<div><aside class=theme-doc-sidebar-container><ul class=menu__list>{_MENU}</ul></aside><main>"
    "<article><div class='theme-doc-markdown markdown'><header><h1>TITLE</h1></header>BODY</div></article>"
    f"<nav class=pagination-nav><a href='/a'>Previous Install</a><a href='/b'>Next</a></nav></main></div>{_FOOT}",
    "mediawiki": "<div id=mw-navigation><ul><li><a href='/Main'>Main page</a><li><a href='/Random'>Random page</a></ul>"
    "</div><div id=content class=mw-body><h1 id=firstHeading>TITLE</h1><div id=mw-content-text><div "
    f"class=mw-parser-output>BODY</div></div></div>{_FOOT}",
    "bootstrap": f"<div class='navbar'><ul class=menu>{_MENU}</ul></div><div class=container><div class=row><div "
    "class=col-md-9><div class=page-header><h1>TITLE</h1></div>BODY</div><div class=col-md-3><h4>Newsletter</h4>"
    f"<p>Get our news once a month.</p></div></div></div>{_FOOT}",
    "by hand": "<h1>TITLE</h1>BODY<hr><a href='index.html'>Back</a>",
}


@dataclass(frozen=True)
class ShortPage:
    """A page; ``phrase`` is what its piece reads as in Markdown, in part."""

    title: str
    body: str
    phrase: str
    template: str = "semantic"

    def html(self) -> bytes:
        """Return the page as a server sends it."""
        inside = TEMPLATES[self.template].replace("TITLE", self.title).replace("BODY", self.body)
        head = f"<!doctype html><html lang=en><head><title>{self.title} - Larkspur</title></head>"
        return f"{head}<body>{inside}</body></html>".encode()


_CARD = "<p>The reading room of the society is open to everybody who brings a card.</p>"
_TWICE = "<p>All times are in UTC unless a field says otherwise in its own description.</p>" * 2
_FOLDER = (
    "<p>Larkspur keeps what it measures in a folder of its own, and never writes anywhere else. You can move that "
    "folder while nothing runs, as long as you say in the configuration where it is now.</p>"
    "<p>These are the values that were found on the test bench last winter, at three temperatures.</p>"
)
_WALL = "".join(
    f"<p>{text}</p>"
    for text in (
        "When we moved the workshop into the old mill in the spring of 2019 nobody knew how damp the walls were. The "
        "previous owners had painted them white, which hid the stains for one summer, and by the first frost the "
        "plaster had begun to fall onto the benches.",
        "We asked three builders what to do. One wanted to take the whole wall down, one wanted to sell us a machine "
        "that hums, and the third drank a cup of tea and asked where the water of the roof went. It went into the "
        "wall. A gutter had rusted through, and for twenty winters it had led half of the rain into the stones.",
        "So the repair was a gutter, two days on a ladder, and a great deal of patience. Lime plaster needs weeks to "
        "dry and must not be hurried. What it cost is below, without tax and in the prices of then.",
    )
)
_TABLE = (
    "<table><thead><tr><th>Sample<th>Cold<th>Warm<tbody><tr><td>A1<td>0.31<td>0.74<tr><td>B2<td>0.28<td>0.69</table>"
)
_HOURS = "<table><tr><th>Monday</th><td>9 to 17</td></tr><tr><th>Saturday</th><td>10 to 14</td></tr></table>"
_ASIDE = "<p>Write to us when something is missing here.</p>"

PAGES = {
    "opening hours": ShortPage("The reading room", _CARD + _HOURS, "| Saturday | 10 to 14 |"),
    "hours under a heading": ShortPage(
        "The reading room", f"{_CARD}<h2>Hours</h2>{_HOURS}{_ASIDE}", "## Hours\n\n| Monday | 9 to 17 |", "bootstrap"
    ),
    "documentation, values": ShortPage("Values", _FOLDER + _TABLE + _ASIDE, "| B2 | 0.28 | 0.69 |"),
    "documentation, values in divs": ShortPage("Values", _FOLDER + _TABLE + _ASIDE, "| Sample | Cold | Warm |", "divs"),
    "documentation, terms": ShortPage(
        "Values", f"{_FOLDER}<dl><dt>cold<dd>Four degrees.<dt>warm<dd>Thirty degrees.</dl>", ": Thirty", "docusaurus"
    ),
    "documentation, steps": ShortPage(
        "Values", f"{_FOLDER}<ol><li>Stop the service.<li>Move the folder.</ol>", "2. Move the folder.", "wordpress"
    ),
    "a paragraph twice": ShortPage(
        "Time zones", f"{_TWICE}<dl><dt>created<dd>In UTC.<dt>due<dd>Of the account.</dl>", ": Of the account."
    ),
    "wiki, an infobox": ShortPage(
        "River Arle",
        "<p>The <b>Arle</b> is a river in the north of the county. It rises near Holt and flows into the sea.</p>"
        "<table class=infobox><tr><th>Length<td>43 km<tr><th>Mouth<td>North Sea</table>",
        "| Mouth | North Sea |",
        "mediawiki",
    ),
    "changelog": ShortPage(
        "Changelog",
        "<h2>2.1.0</h2><p>A release for those who wait for dark nights.</p><ul><li>Added a dark theme.<li>Fixed a crash"
        " on empty input.</ul><h2>2.0.1</h2><ul><li>Fixed the build on ARM.</ul>",
        "- Fixed the build on ARM.",
        "divs",
    ),
    "api": ShortPage(
        "GET /jobs/{id}",
        "<p>Returns one job, or waits for its end.</p><dl><dt>wait<dd>Seconds to wait for the end.</dl><pre>{'id': 7}"
        "</pre><h2>Errors</h2><table><tr><td>404<td>No such job.<tr><td>410<td>The job was removed.</table>",
        "| 410 | The job was removed. |",
    ),
    "recipe": ShortPage(
        "Pancakes",
        "<p>Thin pancakes as my grandmother made them, ready in half an hour.</p><h2>Ingredients</h2><ul><li>250 g "
        "flour<li>3 eggs<li>500 ml milk</ul><h2>Steps</h2><ol><li>Whisk everything.<li>Fry in butter.</ol>",
        "- 500 ml milk",
        "wordpress",
    ),
    "made by hand": ShortPage("A damp wall", f"{_WALL}<ul><li>Two ladders<li>Lime, 40 kg</ul>", "40 kg", "by hand"),
    "a cost at the end": ShortPage(
        "A damp wall", f"{_WALL}<table><tr><td>Lime<td>310<tr><td>Gutter<td>95</table>", "| Gutter | 95 |", "wordpress"
    ),
    "code at the end": ShortPage("A damp wall", f"{_WALL}<pre>lark plot bench.csv</pre>", "lark plot", "divs"),
    "a quotation": ShortPage(
        "A damp wall", f"{_WALL}<blockquote><p>Ask where the water goes.</p></blockquote>{_ASIDE}", "> Ask", "divs"
    ),
    "an address": ShortPage(
        "A damp wall", f"{_WALL}<address>Larkspur Society<br>4 Mill Lane, Holt</address>", "4 Mill Lane", "bootstrap"
    ),
}
