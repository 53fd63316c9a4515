"""What a whole page is like, as numbers, and which type it therefore is."""

import re
from urllib.parse import urlsplit

import numpy as np

from tasks.crawling.engine.reading.blocks import FLAG_COUNT, Cut
from tasks.crawling.engine.reading.table import Table, bits, numbered
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
_SHARES = numbered("flag", FLAG_COUNT) + numbered("name", NAME_GROUPS)
_TEXTS = numbered("text", TEXT_GROUPS)
_TOKEN_ENDS = re.compile(r"[/._?=&-]+")
_NAME_ENDS = re.compile(r"[-_]")
_DOCS_HOST = re.compile(r"(docs?|developers?|api|help|support|learn|wiki|man)\.")
_FORUM_HOST = re.compile(r"forum|community|discuss|board|talk")
_SHOP_HOST = re.compile(r"shop|store|market|buy")
_GENERATOR = re.compile("|".join(name for names in _MADE_BY for name in names), re.IGNORECASE)


def page_table(cut: Cut, *, url: str, types: frozenset[str], og_type: str, made: str) -> Table:
    """Return one row of features of the page."""
    row = {**_counts(cut), **_repeats(cut), **_address(url)}
    row |= {f"type{number}": bool(types & set(group)) for number, group in enumerate(_TYPES)}
    said = og_type.lower()
    kinds = ("article", "product", "website", "profile", "video")
    row |= {f"og{number}": said.startswith(kind) for number, kind in enumerate(kinds)}
    found = {m.lower() for m in _GENERATOR.findall(made)}
    row |= {f"made{number}": bool(found & set(names_of)) for number, names_of in enumerate(_MADE_BY)}
    table = Table(1)
    table.add_all(tuple(row), np.array([*row.values()])[:, None])
    return table


def _counts(cut: Cut) -> dict[str, float]:
    """Return the features that are counts over the blocks, and shares of them."""
    blocks, columns = cut.blocks, cut.columns
    count = max(len(blocks), 1)
    words = columns.lengths if blocks else np.ones(1, dtype=np.float32)
    linked = columns.link_words if blocks else np.zeros(1, dtype=np.int64)
    total = float(words.sum())
    prose = words * ((words >= 10) & (linked * 3 < words))
    row = {
        "words": float(np.log1p(total)),
        "blocks": float(np.log1p(count)),
        "density": float(np.float32(linked.sum()) / total),
        "prose": float(np.log1p(prose.sum())),
        "prose.share": float(prose.sum() / total),
        "longest": float(np.log1p(words.max())),
        "mean": total / count,
    }
    row |= {f"over{size}": float(np.log1p((prose >= size).sum())) for size in (20, 40, 80)}
    # Flags and names lie side by side, in one mask.
    masks = np.array(cut.nodes.names, dtype=np.int64)[columns.owner] << FLAG_COUNT | columns.flags
    shares = (bits(masks, FLAG_COUNT + NAME_GROUPS) * columns.words).sum(axis=1).astype(np.float32) / total
    row |= zip(_SHARES, shares.tolist(), strict=True)
    of_texts = bits(columns.mask, TEXT_GROUPS).sum(axis=1).astype(np.float32) / count
    row |= zip(_TEXTS, of_texts.tolist(), strict=True)
    tags = [b.tag for b in blocks]
    for tag in ("p", "h1", "h2", "h3", "li", "tr", "td", "pre", "dt", "dd", "button", "label"):
        row[f"tag.{tag}"] = tags.count(tag) / count
    row["h1s"] = tags.count("h1")
    prices = sum("$" in b.text or "€" in b.text or "£" in b.text or "₹" in b.text for b in blocks)
    row["prices"] = float(np.log1p(prices))
    return row


def _repeats(cut: Cut) -> dict[str, float]:
    """Return the features of what looks like cards and posts."""
    sums = cut.sums
    cards = sums.words[(sums.same >= 4) & (sums.words > 0) & (sums.images > 0)]
    alike = sums.words[(sums.same >= 3) & (sums.words >= 40)]
    return {
        "cards": float(np.log1p(len(cards))),
        "cards.words": float(int(cards.sum()) / (float(max(sums.total_words, 1)) * 4)),
        "posts": float(np.log1p(len(alike))),
        "posts.words": float(np.log1p(int(alike.sum()))),
    }


def _address(url: str) -> dict[str, float]:
    """Return the features of the page's address."""
    parsed = urlsplit(url)
    path, host = parsed.path, parsed.hostname or ""
    tokens = [t for t in _TOKEN_ENDS.split(path.lower()) if t]
    parts = [p for p in path.lower().split("/") if p]
    mask = 0
    for token in [*parts, *tokens]:
        mask |= _PATH_BITS.get(token, 0)
    return {
        **{f"path{number}": mask >> number & 1 for number in range(len(_PATHS))},
        "path.parts": len(parts),
        "path.words": len(tokens),
        "path.last": len(_NAME_ENDS.split(parts[-1])) if parts else 0,
        "path.digits": any(c.isdigit() for c in path),
        "host.docs": bool(_DOCS_HOST.match(host)),
        "host.forum": bool(_FORUM_HOST.search(host)),
        "host.shop": bool(_SHOP_HOST.search(host)),
    }
