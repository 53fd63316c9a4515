"""The words by which templates name their parts, and those that short texts of menus and footers are made of."""

import re
from functools import lru_cache

# Of class and id attributes. The order gives each group its bit.
_NAMES = (
    "nav menu navigation navbar breadcrumb breadcrumbs submenu sitenav topnav megamenu subnav",
    "footer foot copyright colophon legal bottom",
    "header masthead topbar toolbar head top",
    "sidebar aside rail side secondary complementary leftcol rightcol",
    "related recommended recommendations recommend similar upsell also trending popular suggested crosssell recent "
    "recently viewed upnext readmore suggestions",
    "comment comments discussion disqus respond replies",
    "reply post message answer question thread topic messagebody posts conversation forum bbp",
    "review reviews rating ratings stars testimonial testimonials feedback",
    "share social sharing follow socials sharethis addtoany twitter facebook",
    "cookie cookies gdpr consent onetrust notice alert privacy",
    "ad ads advert advertisement sponsor sponsored promo promotion banner adsbygoogle campaign",
    "modal popup overlay drawer dialog lightbox offcanvas flyout dropdown tooltip popover",
    "newsletter subscribe signup subscription mailchimp optin cta",
    "login account cart basket user auth signin register wishlist minicart checkout",
    "content article entry body main story text prose richtext markdown rte wysiwyg copy documentwrapper doc docs",
    "description desc summary intro excerpt overview about details detail information info introduction",
    "product products item items card cards tile tiles teaser grid result results listing listings shelf",
    "meta byline author date tag tags published timestamp category categories avatar profile signature bio",
    "pagination pager page-numbers pages next prev previous paging",
    "filter filters facet facets sort sorting refine refinement",
    "toc tableofcontents contents outline onthispage anchor scrollspy",
    "hidden hide sr visually screenreader offscreen invisible collapsed noprint print",
    "search searchbar autocomplete query",
    "price prices pricing amount sale discount offer",
    "spec specs specification specifications feature features attribute attributes table ingredients benefits",
    "widget module block component sticky fixed",
    "title headline heading subtitle hero name",
    "gallery carousel slider swiper slick slide slides thumbnail media image img caption figure",
    "tab tabs accordion collapse panel faq faqs expand expandable toggle",
    "button btn action actions buttons control controls option options select variant swatch swatches",
    "form field input label fieldset",
    "video audio player embed map",
    "code highlight snippet pre source example",
    "language languages locale country region currency store stores location",
    "section row col column container wrapper inner layout",
)
_TEXTS = (
    "login signin register signup account password username forgot logout",
    "share tweet facebook twitter linkedin pinterest instagram youtube follow whatsapp tiktok reddit copy print email",
    "cookie cookies privacy terms policy rights reserved copyright imprint disclaimer accessibility gdpr conditions",
    "subscribe newsletter inbox unsubscribe updates emails spam",
    "cart buy checkout wishlist qty quantity shipping delivery returns stock bag pickup compare order payment",
    "more view all load show learn click read expand see explore discover browse shop",
    "related similar recommended popular trending recently viewed latest recent also like",
    "reply like report quote upvote vote flag helpful edit answer permalink joined member posts replies",
    "comment comments discussion leave",
    "search filter filters sort results showing clear apply relevance",
    "menu home contact about help support faq careers blog jobs press company services products resources",
    "prev previous next page back top skip close cancel open toggle",
    "by posted updated published ago min minutes hours days author written edited",
    "rating ratings review reviews stars star rated",
    "january february march april may june july august september october november december jan feb mar apr jun jul aug "
    "sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday",
    "free trial demo started start join now today get try contact book request download",
    "sponsored advertisement ad ads promoted affiliate commission",
    "the of and to in a is that for with this are as you your it on be or we can",
    "sku size color colour weight material dimensions model brand warranty price sale",
    "table contents section chapter overview introduction note warning example parameters returns syntax",
)
NAME_GROUPS = len(_NAMES)
TEXT_GROUPS = len(_TEXTS)


def _bits(groups: tuple[str, ...]) -> dict[str, int]:
    bits: dict[str, int] = {}
    for number, group in enumerate(groups):
        for word in group.split():
            bits[word] = bits.get(word, 0) | 1 << number
    return bits


_NAME_BITS = _bits(_NAMES)
_TEXT_BITS = _bits(_TEXTS)
_TEXT_WORDS = frozenset(_TEXT_BITS)
_TOKEN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


@lru_cache(maxsize=4096)
def name_mask(names: str) -> int:
    """Return which groups the words of a class or id attribute belong to, a bit each."""
    mask = 0
    for token in _TOKEN.findall(names[:400]):
        mask |= _NAME_BITS.get(token.lower(), 0)
    return mask


def text_mask(words: list[str]) -> int:
    """Return which groups the lower-cased words of a text belong to, a bit each."""
    mask = 0
    for word in _TEXT_WORDS.intersection(words):
        mask |= _TEXT_BITS[word]
    return mask
