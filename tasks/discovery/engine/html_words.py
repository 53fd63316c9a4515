"""Texts and addresses of a page in the form that discovery keeps them in."""

from ada_url import join_url
from lxml.html import HtmlElement


def one_line(text: str | None) -> str:
    """Return the text trimmed and with single spaces."""
    return " ".join(text.split()) if text else ""


def tokens(text: str | None) -> tuple[str, ...]:
    """Return what stands between spaces."""
    return tuple(text.split()) if text else ()


def content_of(element: HtmlElement) -> str:
    """Return all text of an element that holds no controls: quicker than ``labels.text_of``."""
    return one_line(element.text_content())


def absolute(base: str, href: str) -> str:
    """Return ``href`` as an absolute address, or as it stands where it is none."""
    try:
        return str(join_url(base, href.strip()))
    except ValueError:
        return href.strip()
