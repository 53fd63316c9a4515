"""Text in the charset of its page, compared with the browser character by character."""

from urllib.parse import unquote_to_bytes

import pytest

from tasks.core.browser import Visit
from tasks.core.errors import Permanent
from tasks.discovery.engine.running.charsets import _CODECS, encode, is_known
from tasks.discovery.engine.running.equality import compare_with_browser
from tests.discovery.running.echo import EchoServer
from tests.discovery.running.forms import tool_of
from tests.fakes import FakeJob

# Every character of the basic plane but halves of pairs and newlines, and two beyond.
CHARACTERS = [chr(n) for n in range(0x20, 0x10000) if not 0xD800 <= n <= 0xDFFF] + ["😀", "𠀋"]
_FILL = """(text) => { document.querySelector('[name=q]').value = text; document.forms[0].submit(); }"""


@pytest.mark.parametrize(
    ("text", "charset", "expected"),
    [
        ("aä€", "UTF-8", b"a\xc3\xa4\xe2\x82\xac"),
        ("€\x81日", "windows-1252", b"\x80\x81&#26085;"),
        ("€", "ISO-8859-1", b"\x80"),
        ("日¥\u2212€", "Shift_JIS", b"\x93\xfa\\\x81\x7c&#8364;"),
        ("\ud800", "utf-8", b"\xef\xbf\xbd"),
    ],
)
def test_what_a_charset_lacks_becomes_a_reference(text: str, charset: str, expected: bytes) -> None:
    """Labels mean what they mean on the web."""
    assert expected == encode(text, charset)


@pytest.mark.parametrize("charset", ["GBK", "Big5", "EUC-JP", "ISO-2022-JP", "windows-1255", "x-none", ""])
def test_other_charsets_are_left_to_the_browser(charset: str) -> None:
    """Rather than written almost right."""
    assert not is_known(charset)
    with pytest.raises(Permanent, match="browser"):
        encode("a", charset)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.xdist_group("browser")
def test_every_character_is_written_as_the_browser_writes_it(echo: EchoServer, browser_job: FakeJob) -> None:
    """In every charset that is known here."""

    async def bodies(visit: Visit) -> dict[str, bytes]:
        page, found = await visit.context.new_page(), {}
        for charset in (*_CODECS, "shift_jis"):
            url = echo.page("/p", "<form method=post action=/x><input name=q></form>", charset=charset, codec="ascii")
            await visit.open(page, url)
            echo.received.clear()
            async with page.expect_navigation():
                await page.evaluate(_FILL, "\x01".join(CHARACTERS))
            (found[charset],) = (each.body for each in echo.received if each.method == "POST")
        return found

    sent: dict[str, bytes] = browser_job.browser.visit(bodies, timeout_s=200)
    differences = {}
    for charset, body in sent.items():
        theirs = unquote_to_bytes(body.removeprefix(b"q=").replace(b"+", b" ")).split(b"\x01")
        assert len(CHARACTERS) == len(theirs)
        pairs = zip(CHARACTERS, theirs, strict=True)
        differences |= {f"{charset} {ord(c):04x}": t for c, t in pairs if encode(c, charset) != t}
    assert {} == differences


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.xdist_group("browser")
def test_a_form_in_another_charset_is_not_called_plain(echo: EchoServer, browser_job: FakeJob) -> None:
    """The comparison says why."""
    form = "<form action=/s><input name=q><button>Go</button></form>"
    url = echo.page("/form", form, charset="GBK", codec="gbk")
    equality = compare_with_browser(browser_job, tool_of(form, url=url, charset="GBK"), {"q": "日"})
    assert (False, False, "its charset") == (equality.is_equal, equality.call.is_plain, equality.difference)
