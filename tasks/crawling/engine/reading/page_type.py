"""What a whole page is like, as numbers, and which type it therefore is."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import numpy as np

from tasks.crawling.engine.reading.blocks import FLAG_COUNT, Cut
from tasks.crawling.engine.reading.table import Table, bits
from tasks.crawling.engine.reading.words import NAME_GROUPS, TEXT_GROUPS

PAGE_TYPES = ("article", "collection", "documentation", "forum", "listing", "product", "service")

_PATHS = (
    "blog news article articles story post posts opinion magazine press insights guide guides",
    "product products p item items dp itm buy shop store pd sku prod",
    "category categories collection collections c cat catalog browse b department search list plp",
    "docs doc documentation reference api manual guide guides tutorial tutorials learn wiki help kb man stable latest "
    "en-us library",
    "forum forums t thread threads topic topics viewtopic showthread questions question community "
    "discussion comments r d discuss boards",
    "services service solutions platform pricing features about contact company software products use-cases industries",
    "best top reviews directory listing listings jobs events courses recipes blog tag tags awards archive",
)
_PATH_BITS: dict[str, int] = {}
for _number, _group in enumerate(_PATHS):
    for _word in _group.split():
        _PATH_BITS[_word] = _PATH_BITS.get(_word, 0) | 1 << _number
_TYPES = (
    ("Product", "ProductGroup", "Offer", "AggregateOffer"),
    ("Article", "NewsArticle", "BlogPosting", "Report", "TechArticle"),
    ("QAPage", "DiscussionForumPosting", "Question", "Answer", "SocialMediaPosting"),
    ("CollectionPage", "ItemList", "OfferCatalog", "SearchResultsPage"),
    ("FAQPage", "Service", "SoftwareApplication", "LocalBusiness", "Organization", "WebApplication"),
    ("BreadcrumbList",), ("Comment", "Review", "AggregateRating"), ("WebPage", "WebSite"),
)  # fmt: skip
_MADE_BY = (
    ("sphinx", "docusaurus", "mkdocs", "mdbook", "gitbook", "vitepress"),
    ("discourse", "xenforo", "vbulletin", "phpbb", "flarum", "nodebb", "invision"),
    ("shopify", "woocommerce", "magento"),
    ("wordpress", "jekyll", "hugo"),
)
_GENERATOR = re.compile("|".join(name for names in _MADE_BY for name in names), re.IGNORECASE)


def page_table(cut: Cut, *, url: str, types: frozenset[str], og_type: str, made: str) -> Table:
    """Return one row of features of the page."""
    table = Table()
    blocks = cut.blocks
    words = np.array([len(b.tokens) for b in blocks] or [1], dtype=np.float32)
    linked = np.array([b.link_words for b in blocks] or [0], dtype=np.float32)
    flags = np.array([b.flags for b in blocks] or [0], dtype=np.int64)
    masks = np.array([b.mask for b in blocks] or [0], dtype=np.int64)
    names = np.array([cut.nodes.names[b.owner] for b in blocks] or [0], dtype=np.int64)
    total, count = float(words.sum()), len(words)

    def one(name: str, value: float) -> None:
        table.add(name, np.array([value], dtype=np.float32))

    prose = words * ((words >= 10) & (linked * 3 < words))
    one("words", float(np.log1p(total)))
    one("blocks", float(np.log1p(count)))
    one("density", float(linked.sum() / total))
    one("prose", float(np.log1p(prose.sum())))
    one("prose.share", float(prose.sum() / total))
    one("longest", float(np.log1p(words.max())))
    one("mean", total / count)
    for size in (20, 40, 80):
        one(f"over{size}", float(np.log1p((prose >= size).sum())))
    for number, share in enumerate((bits(flags, FLAG_COUNT) * words[:, None]).sum(axis=0) / total):
        one(f"flag{number}", float(share))
    for number, share in enumerate((bits(names, NAME_GROUPS) * words[:, None]).sum(axis=0) / total):
        one(f"name{number}", float(share))
    for number, share in enumerate(bits(masks, TEXT_GROUPS).mean(axis=0)):
        one(f"text{number}", float(share))
    tags = [b.tag for b in blocks]
    for tag in ("p", "h1", "h2", "h3", "li", "tr", "td", "pre", "dt", "dd", "button", "label"):
        one(f"tag.{tag}", tags.count(tag) / count)
    one("h1s", float(tags.count("h1")))
    prices = sum(any(sign in b.text for sign in "$€£₹") for b in blocks)
    one("prices", float(np.log1p(prices)))
    sums = cut.sums
    cards = sums.words[(sums.same >= 4) & (sums.words > 0) & (sums.images > 0)]
    one("cards", float(np.log1p(len(cards))))
    one("cards.words", float(int(cards.sum()) / (total * 4)))
    alike = sums.words[(sums.same >= 3) & (sums.words >= 40)]
    one("posts", float(np.log1p(len(alike))))
    one("posts.words", float(np.log1p(int(alike.sum()))))
    for name, value in _address(url):
        one(name, value)
    for number, group in enumerate(_TYPES):
        one(f"type{number}", float(bool(types & set(group))))
    for number, kind in enumerate(("article", "product", "website", "profile", "video")):
        one(f"og{number}", float(og_type.lower().startswith(kind)))
    found = {m.lower() for m in _GENERATOR.findall(made)}
    for number, names_of in enumerate(_MADE_BY):
        one(f"made{number}", float(bool(found & set(names_of))))
    return table


def _address(url: str) -> Iterator[tuple[str, float]]:
    """Give the features of the page's address."""
    path = urlsplit(url).path if url else ""
    tokens = [t for t in re.split(r"[/._?=&-]+", path.lower()) if t]
    parts = [p for p in path.lower().split("/") if p]
    mask = 0
    for token in [*parts, *tokens]:
        mask |= _PATH_BITS.get(token, 0)
    host = (urlsplit(url).hostname or "") if url else ""
    for number, column in enumerate(bits(np.array([mask]), len(_PATHS))[0]):
        yield f"path{number}", float(column)
    yield "path.parts", float(len(parts))
    yield "path.words", float(len(tokens))
    yield "path.last", float(len(re.split(r"[-_]", parts[-1])) if parts else 0)
    yield "path.digits", float(any(c.isdigit() for c in path))
    yield "host.docs", float(bool(re.match(r"(docs?|developers?|api|help|support|learn|wiki|man)\.", host)))
    yield "host.forum", float(bool(re.search(r"forum|community|discuss|board|talk", host)))
    yield "host.shop", float(bool(re.search(r"shop|store|market|buy", host)))
