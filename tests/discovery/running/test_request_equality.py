"""A plain request is what the browser sends: same method, address, type, body and order, byte by byte."""

import base64
import random
from typing import Any

import pytest

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Control
from tasks.discovery.engine.running import Runner
from tasks.discovery.engine.running.equality import Equality, compare_together
from tasks.discovery.engine.running.multipart_parts import parts
from tasks.discovery.engine.schema import fillable
from tasks.discovery.tool import Tool
from tests.discovery.running.echo import EchoServer, Received
from tests.discovery.running.forms import tool_of
from tests.fakes import FakeJob

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("browser")]

ORDER = """
<p><label>Name: <input name=custname></label> <label>Phone: <input type=tel name=custtel></label>
<label>E-mail: <input type=email name=custemail></label>
<fieldset><legend>Size</legend><label><input type=radio name=size value=small> S</label>
<label><input type=radio name=size value=large> L</label></fieldset>
<label><input type=checkbox name=topping value=bacon> B</label>
<label><input type=checkbox name=topping value=cheese> C</label>
<input type=time min=11:00 max=21:00 step=900 name=delivery><textarea name=comments></textarea>"""
EVERY = """<input type=hidden name=_charset_><input type=hidden name=h value='a "b" & c'>
<input name=text value="d é"><input type=search name=search><input type=url name=url><input type=password name=pw>
<input type=number name=n step=any><input type=range name=range value=3 min=0 max=10>
<input type=color name=color value=#aabbcc>
<input type=date name=date><input type=month name=month><input type=week name=week><input type=datetime-local name=dt>
<input type=checkbox name=on checked><input type=checkbox name=off value=x>
<input name=gone value=1 disabled><input value=nameless>
<select name=one><option value=1>A<option value=2 selected>B<option value=3 disabled>C</select>
<select name=many multiple><option selected>x<option>y<option selected>z</select>
<textarea name=area>
first
second</textarea><input name=twice value=1><input name=twice value=2><input readonly name=ro value=r>"""
CODED = "<input type=hidden name=_charset_><input name=k value='ä'><input name=q><button>Go</button>"
MULTIPART = "method=post enctype=multipart/form-data action=/post"
HARD = 'ä€ 日本 😀 "q" & = + % \\ ~ \' * - . _'

# Name, the form, the arguments, and what else: charset and codec of the page, the button pressed.
FORMS: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    (
        "order",
        f"<form method=post action=/post>{ORDER}<button>Go</button></form>",
        {
            "custname": "A & B",
            "size": "large",
            "topping": ["cheese", "bacon"],
            "delivery": "11:15",
            "comments": "a\nb\r\nc",
        },
        {},
    ),
    ("every get", f"<form action='/get?x=1#f'>{EVERY}<input type=submit name=go value=Go></form>", {"text": HARD}, {}),
    (
        "every post",
        f"<form method=post action='/post?x=1#f'>{EVERY}<button name=go>Go</button></form>",
        {
            "text": HARD,
            "n": 1.5,
            "range": 7,
            "color": "#ABCDEF",
            "date": "2026-01-02",
            "month": "2026-01",
            "week": "2026-W05",
            "dt": "2026-01-02T03:04",
            "on": False,
            "off": True,
            "one": "1",
            "many": ["z", "y"],
            "area": "x\ny",
            "twice": ["8", "9"],
        },
        {},
    ),
    (
        "every multipart",
        f"<form method=post enctype=multipart/form-data action=/post>{EVERY}<button name=go>Go</button></form>",
        {"text": HARD, "area": "x\n\n'y'"},
        {},
    ),
    (
        "every plain",
        f"<form method=post enctype=text/plain action=/post>{EVERY}<button>Go</button></form>",
        {"text": HARD, "area": "x\ny"},
        {},
    ),
    ("nothing to send", "<form action=/get><button>Go</button></form>", {}, {}),
    ("nothing to post", "<form method=post action=/post><button>Go</button></form>", {}, {}),
    ("button first", "<form action=/get><button name=b value=1>Go</button><input name=a></form>", {"a": "2"}, {}),
    (
        "second button",
        "<form action=/get><button name=b value=1>Go</button><input name=a>"
        "<button id=c name=c value=2>O</button></form>",
        {"a": "2"},
        {"press": "c"},
    ),
    ("image", "<form action=/get><input name=a><input type=image id=i name=im alt=Go></form>", {"a": "1"}, {}),
    (
        "nameless image",
        "<form method=post action=/post><input name=a><input type=image id=i alt=Go></form>",
        {"a": "1"},
        {},
    ),
    (
        "overrides",
        "<form action=/no><input name=a><button id=o formaction='/post?z' formmethod=post>Go</button></form>",
        {"a": "1"},
        {},
    ),
    ("odd action", "<form action='/a b/%zz/ü|^[]{}/;=?q'><input name='na me[]'></form>", {"na me[]": "x"}, {}),
    (
        "odd post action",
        "<form method=post action='/a b/ü|?q=ü&#39;|^[]{} x'><input name='na\"me'></form>",
        {'na"me': "x"},
        {},
    ),
    (
        "odd names",
        f"<form {MULTIPART}><input name='a\"b&#10;c\\é'><button>Go</button></form>",
        {'a"b\nc\\é': "1"},
        {},
    ),
    (
        "dirname",
        "<form action=/get><input name=t id=directed dirname=text.dir><button>Go</button></form>",
        {"t": "x"},
        {},
    ),
    (
        "no file",
        "<form method=post enctype=multipart/form-data action=/post><input type=file name=f><button>Go</button></form>",
        {},
        {},
    ),
    (
        "file name alone",
        "<form method=post action=/post><input type=file name=f><button>Go</button></form>",
        {"f": base64.b64encode(b"x").decode()},
        {},
    ),
    (
        "files",
        f"<form {MULTIPART}><input type=file multiple name=f accept=.pdf><button>Go</button></form>",
        {"f": [base64.b64encode(each).decode() for each in (b"%PDF\r\n\x00\xff", b"")]},
        {},
    ),
    *[
        (
            f"{charset} {method}",
            f"<form {attributes} action=/x>{CODED}</form>",
            {"q": HARD},
            {"charset": charset, "codec": codec},
        )
        for charset, codec in (
            ("windows-1252", "cp1252"),
            ("Shift_JIS", "cp932"),
            ("ISO-8859-2", "iso8859_2"),
            ("KOI8-R", "koi8_r"),
        )
        for method, attributes in (
            ("get", ""),
            ("post", "method=post"),
            ("multipart", "method=post enctype=multipart/form-data"),
        )
    ],
]


def seen(received: list[Received]) -> list[tuple[object, ...]]:
    """Return what must be equal of each request."""
    return [_comparable(each) for each in received]


def _comparable(each: Received) -> tuple[object, ...]:
    content_type = each.headers.get("content-type", "")
    body = parts(content_type, each.body) if content_type.startswith("multipart/") else each.body
    said = [each.headers.get(name) for name in ("origin", "referer")]
    return (each.method, each.target, content_type.partition(";")[0], body, *said)


@pytest.mark.parametrize(("name", "form", "arguments", "more"), FORMS, ids=[form[0] for form in FORMS])
def test_plain_request_is_the_browser_s(
    echo: EchoServer, browser_job: FakeJob, name: str, form: str, arguments: dict[str, Any], more: dict[str, Any]
) -> None:
    """What the server gets from the browser and from the plain request is the same."""
    tool = served(echo, "/form", form, more)
    with Runner(browser_job, prefer="browser") as run:
        run(tool, arguments)
    from_browser = echo.sent()
    with Runner(browser_job, prefer="http") as run:
        run(tool, arguments)
    assert seen(from_browser) == seen(echo.sent())
    assert 1 == len(from_browser)


@pytest.mark.parametrize("chosen", [FORMS[::3], pytest.param(FORMS, marks=pytest.mark.long)], ids=["some", "all"])
def test_comparison_says_the_same_unsent(echo: EchoServer, browser_job: FakeJob, chosen: list[Any]) -> None:
    """Of these forms, several in one visit."""
    forms = [
        (served(echo, f"/form/{number}", form, more), arguments)
        for number, (_, form, arguments, more) in enumerate(chosen)
    ]
    assert_equal(browser_job, forms, names=[name for name, *_ in chosen])
    assert [] == echo.sent()


def served(echo: EchoServer, path: str, form: str, more: dict[str, Any]) -> Tool:
    """Serve a page with the form, and return the form's tool."""
    charset = more.get("charset", "UTF-8")
    url = echo.page(path, f"<!doctype html>{form}", charset=charset, codec=more.get("codec"))
    return tool_of(form, url=url, charset=charset, press=more.get("press"))


def assert_equal(job: FakeJob, forms: list[tuple[Tool, dict[str, Any]]], *, names: list[str]) -> None:
    """Compare all with the browser's own submissions; what differs is told by name."""
    found = [
        (name, (one.is_equal, one.difference) if isinstance(one, Equality) else repr(one))
        for name, one in zip(names, compare_together(job, forms), strict=True)
    ]
    assert [(name, (True, "")) for name in names] == found


TEXTS = ["", "a", "a b", "ü&=", "\"'<>", "a+b%20", "日本", "😀", "x\\y", "€", "~*-._", "#?/", "\t t"]
KINDS = (
    "<input name={n} value='{v}'>", "<input type=hidden name={n} value='{v}'>", "<textarea name={n}>{v}</textarea>",
    "<input type=checkbox name={n} value=c{v0}>", "<input type=checkbox name={n} checked>",
    "<input type=radio name={n} value=1><input type=radio name={n} value=2 checked>", "<input type=search name={n}>",
    "<select name={n}><option value=p>P<option>q<option selected>r</select>", "<input type=email multiple name={n}>",
    "<select name={n} multiple><option>p<option selected>q<option>r</select>", "<input type=file name={n}>",
    "<input name={n} value='{v}' disabled>", "<input type=number name={n} value=4>", "<input type=password name={n}>",
    "<fieldset disabled><input name={n} value=no></fieldset>",
    "<input type=date name={n}>", "<input type=tel name={n}>",
)  # fmt: skip


def generated(chance: random.Random) -> tuple[str, dict[str, Any], tuple[str, str]]:
    """Return a form drawn by chance, arguments for some of its controls, and its charset with Python's codec."""
    controls = "".join(
        chance.choice(KINDS).format(n=f"f{at}", v=chance.choice(["", "d", "d e", "&amp;ü"]), v0=at)
        for at in range(chance.randint(1, 8))
    )
    method, enctype = chance.choice(["get", "post"]), chance.choice(["", "multipart/form-data", "text/plain"])
    button = "<button name=b value=1>Go</button>"
    form = f"<form action='/sent?was=1' method={method} enctype='{enctype}'>{controls}{button}</form>"
    inputs = fillable(read_page(form, url="http://x.org/").forms[0])
    arguments = {name: _value(chance, found) for name, found in inputs.items() if chance.random() < 0.7}
    return form, arguments, chance.choice([("UTF-8", "utf-8"), ("windows-1252", "cp1252"), ("Shift_JIS", "cp932")])


def _value(chance: random.Random, controls: tuple[Control, ...]) -> Any:
    match controls[0].type:
        case "checkbox":
            return chance.random() < 0.5
        case "radio":
            return chance.choice("12")
        case "select-one":
            return chance.choice("pqr")
        case "select-multiple":
            return chance.sample("pqr", chance.randint(0, 3))
        case "file":
            return base64.b64encode(chance.randbytes(chance.randint(0, 300))).decode()
        case "number":
            return chance.choice([0, -3, 12, 1000000])
        case "email":
            return ["a@example.org", "b@example.org"][: chance.randint(1, 2)]
        case "date":
            return "2026-11-22"
        case "textarea":
            return chance.choice([*TEXTS, "a\nb", "a\r\nb\rc"])
        case _:
            return chance.choice(TEXTS)


@pytest.mark.parametrize("first", [0, *(pytest.param(first, marks=pytest.mark.long) for first in (12, 24, 36, 48))])
def test_generated_forms_are_sent_as_the_browser_sends_them(echo: EchoServer, browser_job: FakeJob, first: int) -> None:
    """Sixty forms drawn by chance, each compared with the browser's own submission, several in one visit."""
    drawn = [generated(random.Random(seed)) for seed in range(first, first + 12)]
    forms = [
        (served(echo, f"/form/{first + number}", form, {"charset": charset, "codec": codec}), arguments)
        for number, (form, arguments, (charset, codec)) in enumerate(drawn)
    ]
    assert_equal(browser_job, forms, names=[f"{first + number}: {each}" for number, each in enumerate(drawn)])
    assert [] == echo.sent()
