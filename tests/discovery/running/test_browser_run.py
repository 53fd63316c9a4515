"""Tools in the real browser: forms filled in by ranked selectors, steps, tools of the page's own, and failures."""

import threading
from typing import Any

import pytest

from tasks.core.browser import VisitOptions
from tasks.core.errors import InputRejected, Permanent, Transient
from tasks.discovery.engine.running import Runner
from tasks.discovery.engine.running.equality import Equality, compare_together, compare_with_browser
from tasks.discovery.tool import FormCall, PageToolCall, Source, Step, StepsCall, Tool
from tests.core.egress.raw_server import RawServer
from tests.discovery.running.echo import EchoServer
from tests.discovery.running.forms import tool_of
from tests.fakes import FakeJob

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.xdist_group("browser")]

STRINGS = {"type": "object", "properties": {name: {"type": "string"} for name in ("q", "s", "a")}}
RESULTS = "<title>Found</title><ul>" + "".join(f"<li class=hit><a href=/{n}>Hit {n}</a></li>" for n in "abc") + "</ul>"


def run(job: FakeJob, tool: Tool, arguments: dict[str, Any], **options: Any) -> Any:
    with Runner(job, **options) as runner:
        return runner(tool, arguments)


def tool_for(call: Any) -> Tool:
    return Tool(
        name="t", site="http://x", found_on="http://x/", source=Source.STEPS, prior=1, call=call, input_schema=STRINGS
    )


def test_answer_of_a_form_is_read_as_items(echo: EchoServer, browser_job: FakeJob) -> None:
    """Typed: title, text, items with absolute links."""
    echo.page("/found", RESULTS)
    form = "<form action=/found><input name=q><button>Go</button></form>"
    outcome = run(browser_job, tool_of(form, url=echo.page("/form", form)), {"q": "x y"})
    assert ("browser", 200, echo.url("/found?q=x+y"), "Found") == (
        outcome.backend,
        outcome.status,
        outcome.url,
        outcome.value["title"],
    )
    assert [("Hit a", echo.url("/a")), ("Hit b", echo.url("/b")), ("Hit c", echo.url("/c"))] == [
        (item["title"], item["url"]) for item in outcome.items
    ]


def test_selectors_are_tried_in_their_order_and_the_log_names_the_one(echo: EchoServer, browser_job: FakeJob) -> None:
    """The best is gone, the next finds two, the last finds one."""
    form = "<form action=/s><input class=i name=q><input class=i name=r><button>Go</button></form>"
    tool = tool_of(form, url=echo.page("/form", form))
    assert isinstance(tool.call, FormCall)
    fields = [field.model_copy(update={"selectors": ("#old", ".i")}) for field in tool.call.fields[:1]]
    call = tool.call.model_copy(update={"fields": (*fields, *tool.call.fields[1:])})
    outcome = run(browser_job, tool.model_copy(update={"call": call}), {"q": "secret words"})
    assert ("#old",) == outcome.lost_selectors
    assert outcome.selectors[0].startswith('[name="q"]')
    assert ["/s?q=secret+words&r="] == [each.target for each in echo.sent()]
    assert any("fill 'q': found by '[name=\"q\"]" in line and "(3 of 3)" in line for line in browser_job.lines)
    assert "secret" not in "".join(browser_job.lines)


def test_events_are_those_of_a_person_and_hidden_widgets_are_set_too(echo: EchoServer, browser_job: FakeJob) -> None:
    """Scripts that listen see what was filled in; a select that a widget hides is set all the same."""
    form = """<form action=/s><input name=q><select name=s style=display:none><option>1<option>2</select>
    <input name=a style=display:none><input type=checkbox name=c value=on>
    <input name=log type=hidden><button>Go</button></form>
    <script>const log = document.forms[0].log;
    for (const kind of ['input', 'change']) document.addEventListener(kind, (event) => {
      log.value += `${event.target.name}:${kind}=${event.target.value} `; });</script>"""
    tool = tool_of(form, url=echo.page("/form", form))
    assert isinstance(tool.call, FormCall)
    run(
        browser_job,
        tool,
        {"q": "é", "s": "2", "c": True} | ({"a": "z"} if "a" in tool.input_schema["properties"] else {}),
    )
    (sent,) = echo.sent()
    for expected in ("q%3Ainput%3D%C3%A9", "q%3Achange%3D%C3%A9", "s%3Achange%3D2", "c%3Achange", "s=2", "c=on"):
        assert expected in sent.target


def test_a_form_that_a_script_answers_in_the_page_is_waited_for(echo: EchoServer, browser_job: FakeJob) -> None:
    """No navigation: the items that the script adds are read."""
    echo.page("/data", RESULTS)
    form = """<form><input name=q><button>Go</button></form><div id=out></div><script>
    document.forms[0].addEventListener('submit', (event) => { event.preventDefault(); setTimeout(async () => {
      out.innerHTML = await (await fetch('/data?' + document.forms[0].q.value)).text(); }, 200); });</script>"""
    tool = tool_of(form, url=echo.page("/form", form))
    outcome = run(browser_job, tool, {"q": "x"})
    assert (3, echo.url("/form")) == (len(outcome.items), outcome.url)
    equality = compare_with_browser(browser_job, tool, {"q": "x"})
    assert (False, "a script sends it") == (equality.is_equal, equality.difference)


def test_answers_in_a_new_window_and_in_json_are_read(echo: EchoServer, browser_job: FakeJob) -> None:
    """The newest page is where the answer is; JSON is parsed."""
    form = "<form action=/json target=_blank><input name=q><button>Go</button></form>"
    echo.pages["/json"] = ("application/json", b'{"rows": [{"id": 1}, {"id": 2}]}')
    outcome = run(browser_job, tool_of(form, url=echo.page("/form", form)), {"q": "x"})
    assert ({"rows": [{"id": 1}, {"id": 2}]}, ({"id": 1}, {"id": 2})) == (outcome.value, outcome.items)


def test_a_form_in_a_frame_is_found_there(echo: EchoServer, browser_job: FakeJob) -> None:
    """And answered there."""
    echo.page("/found", RESULTS)
    inner = "<form action=/found><input name=q><button>Go</button></form>"
    frame_url = echo.page("/inner", inner)
    page_url = echo.page("/outer", "<iframe src=/inner></iframe>")
    tool = tool_of(inner, url=frame_url, page_url=page_url, frame_url=frame_url)
    outcome = run(browser_job, tool, {"q": "x"})
    assert (echo.url("/found?q=x"), 3) == (outcome.url, len(outcome.items))


def test_what_the_page_itself_refuses_is_refused_with_its_words(echo: EchoServer, browser_job: FakeJob) -> None:
    """Before anything is sent."""
    form = "<form action=/s><input name=q required><input name=p required><button>Go</button></form>"
    tool = tool_of(form, url=echo.page("/form", form))
    loose = tool.model_copy(update={"input_schema": STRINGS})
    with pytest.raises(InputRejected, match=r"p: .*fill"):
        run(browser_job, loose, {"q": "x"})
    assert [] == echo.sent()


def test_a_failure_names_its_step_and_leaves_a_picture_without_the_password(
    echo: EchoServer, browser_job: FakeJob
) -> None:
    """The picture is a PNG; neither log nor error has the value."""
    form = "<form action=/s><input name=pw type=password><button id=gone>Go</button></form>"
    tool = tool_of(form, url=echo.page("/form", form))
    echo.page("/form", form.replace("<button id=gone>Go</button>", ""))
    assert isinstance(tool.call, FormCall)
    with pytest.raises(Permanent, match="submit: not found") as failed:
        run(browser_job, tool, {"pw": "hunter2"})
    assert browser_job.saved["failure.png"].startswith(b"\x89PNG")
    assert "hunter2" not in failed.value.message + "".join(browser_job.lines)


def test_steps_are_carried_out_and_the_extract_is_the_result(echo: EchoServer, browser_job: FakeJob) -> None:
    """Every word of the vocabulary; an input that was not given leaves its step out."""
    echo.page("/found", RESULTS + "<p style='margin-top:3000px' id=low>low</p>")
    echo.page(
        "/start",
        "<form action=/found><input name=q><select name=s><option value=1>One<option value=2>Two</select></form>",
    )
    steps = (
        Step(act="navigate", text="/start?x={q}"),
        Step(act="input", text="{q}", selectors=("#none", "[name=q]")),
        Step(act="select", text="{s}", selectors=("select",)),
        Step(act="input", text="{a}", selectors=("#never",)),
        Step(act="click", selectors=("[name=q]",)),
        Step(act="key", text="Enter", selectors=("[name=q]",)),
        Step(act="wait", selectors=("li.hit",)),
        Step(act="scroll", selectors=("#low",)),
        Step(act="scroll"),
        Step(act="key", text="Tab"),
        Step(act="wait", text="0.1"),
        Step(act="extract", selectors=("li.hit",)),
    )
    start = echo.page("/first", "<p>first</p>")
    outcome = run(browser_job, tool_for(StepsCall(page_url=start, steps=steps)), {"q": "a b", "s": "Two"})
    assert (echo.url("/found?q=a+b&s=2"), "Hit a Hit b Hit c", 3) == (
        outcome.url,
        outcome.value["text"],
        len(outcome.items),
    )
    assert any("step 4 (input): left out" in line for line in browser_job.lines)


def test_a_failing_step_is_named_by_its_number(echo: EchoServer, browser_job: FakeJob) -> None:
    """Also where it takes too long."""
    start = echo.page("/first", "<p hidden id=never>first</p>")
    with pytest.raises(Permanent, match=r"step 1 \(click\): not found"):
        run(
            browser_job,
            tool_for(StepsCall(page_url=start, steps=(Step(act="click", selectors=("#x",), timeout_s=0.5),))),
            {},
        )
    slow = StepsCall(page_url=start, steps=(Step(act="wait", selectors=("#never",), timeout_s=0.5),))
    with pytest.raises(Transient, match=r"step 1 \(wait\): not done in time"):
        run(browser_job, tool_for(slow), {})


def test_a_tool_of_the_page_is_called_in_the_page(echo: EchoServer, browser_job: FakeJob) -> None:
    """WebMCP, in this Chromium; its envelope is taken off. Without the interface the refusal says so."""
    page = echo.page("/tools", """<script>
      document.modelContext.registerTool({name: 'add', description: 'adds', inputSchema: {type: 'object'},
        execute: async (given) => ({content: [{type: 'text', text: JSON.stringify({got: given.q})}]})});
      document.modelContext.registerTool({name: 'bad', description: 'fails', inputSchema: {type: 'object'},
        execute: async () => { throw new Error('not today'); }});</script>""")  # fmt: skip
    call = PageToolCall(page_url=page, tool_name="add")
    assert {"got": "x"} == run(browser_job, tool_for(call), {"q": "x"}).value
    for name, words in (("bad", "bad"), ("none", "does not register")):
        with pytest.raises(Permanent, match=words):
            run(browser_job, tool_for(PageToolCall(page_url=page, tool_name=name)), {})


def test_a_session_is_signed_in_in_the_browser_too(echo: EchoServer, browser_job: FakeJob) -> None:
    """Its cookies go with every request."""
    form = "<form action=/s><input name=q><button>Go</button></form>"
    tool = tool_of(form, url=echo.page("/form", form))
    cookie = {"name": "sid", "value": "v", "domain": "127.0.0.1", "path": "/", "expires": -1}
    state = {"cookies": [cookie | {"httpOnly": True, "secure": False, "sameSite": "Lax"}], "origins": []}
    run(browser_job, tool, {"q": "x"}, session=state)
    assert ["sid=v"] == [each.headers.get("cookie") for each in echo.sent()]


def test_nothing_reaches_anybody_while_a_form_is_compared(echo: EchoServer, browser_job: FakeJob) -> None:
    """Not by fetch, a beacon, a kept-alive request, a WebSocket, an image, or the form itself."""
    form = """<form method=post action=/delete><input name=q><button>Go</button></form><script>
    const leak = (how) => { fetch('/leak-fetch?' + how); fetch('/leak-kept?' + how, {method: 'POST', keepalive: true});
      navigator.sendBeacon('/leak-beacon?' + how, 'x'); new Image().src = '/leak-image?' + how;
      new WebSocket('ws://' + location.host + '/leak-socket?' + how); };
    document.addEventListener('input', () => leak('input'));
    document.addEventListener('submit', () => leak('submit'));
    addEventListener('pagehide', () => leak('pagehide'));</script>"""
    tool = tool_of(form, url=echo.page("/form", form))
    equality = compare_with_browser(browser_job, tool, {"q": "x"})
    threading.Event().wait(1)  # for what is sent behind the page's back
    assert (True, []) == (equality.is_equal, echo.sent())
    # The same page reaches the site when it is run in earnest, so the silence above says something.
    run(browser_job, tool, {"q": "x"})
    seen = {each.target.partition("?")[0] for each in echo.sent()}
    assert {"/delete", "/leak-beacon", "/leak-kept", "/leak-image", "/leak-socket", "/leak-fetch"} <= seen


def test_hidden_fields_that_change_become_tokens_and_cookies_ask_for_the_page(
    echo: EchoServer, browser_job: FakeJob
) -> None:
    """So that the plain run reads the page first."""
    form = "<form method=post action=/s><input type=hidden name=stamp value=1><input name=q><button>Go</button></form>"
    tool = tool_of(form, url=echo.page("/form", form))
    echo.page("/form", form.replace("value=1", "value=2"))
    echo.extra_headers["Set-Cookie"] = "sid=1; Path=/"
    equality = compare_with_browser(browser_job, tool, {"q": "x"})
    assert (True, True, True) == (equality.is_equal, equality.call.is_plain, equality.call.needs_page)
    assert {"stamp": True, "q": False, "": False} == {field.name: field.is_token for field in equality.call.fields}
    run(browser_job, tool.model_copy(update={"call": equality.call}), {"q": "x"})
    (sent,) = echo.sent()
    assert (b"stamp=2&q=x", "sid=1") == (sent.body, sent.headers["cookie"])


def test_forms_are_compared_together_and_one_that_fails_takes_no_other_with_it(
    echo: EchoServer, browser_job: FakeJob
) -> None:
    """Each has its own request, also one that opens a window; nothing reaches anybody."""
    form = "<form action=/s><input type=hidden name=n value={n}><input name=q><button>Go</button></form>"
    pages = [form.format(n=n) for n in range(6)]
    pages[1] = pages[1].replace("<form", "<form target=_blank")
    tools = [tool_of(html, url=echo.page(f"/form{n}", html)) for n, html in enumerate(pages)]
    echo.page("/form2", "<p>The form has gone.")
    tools[3] = tools[3].model_copy(update={"input_schema": {"type": "object", "additionalProperties": False}})
    found = compare_together(browser_job, [(tool, {"q": "x"}) for tool in tools])
    kinds = [one.is_equal if isinstance(one, Equality) else one.code for one in found]
    assert [True, True, "permanent", "input_rejected", True, True] == kinds
    assert [] == echo.sent()


@pytest.mark.parametrize(
    ("script", "difference"),
    [
        ("document.forms[0].addEventListener('formdata', (event) => event.formData.append('more', '1'));", "body"),
        ("document.forms[0].addEventListener('submit', () => { document.forms[0].action = '/other'; });", "URL"),
        ("document.forms[0].q.addEventListener('input', () => { document.forms[0].q.value += '!'; });", "body"),
    ],
)
def test_what_scripts_change_is_a_difference(
    echo: EchoServer, browser_job: FakeJob, script: str, difference: str
) -> None:
    """Such a form stays in the browser."""
    form = "<form method=post action=/s><input name=q><button>Go</button></form>"
    tool = tool_of(form, url=echo.page("/form", f"{form}<script>{script}</script>"))
    equality = compare_with_browser(browser_job, tool, {"q": "x"})
    assert (False, False, difference) == (
        equality.is_equal,
        equality.call.is_plain,
        equality.difference.partition(":")[0],
    )


def test_a_cut_off_visit_has_no_way_out(echo: EchoServer, browser_job: FakeJob) -> None:
    """Without any catching of requests: the proxy takes nothing from it any more."""

    async def work(visit: Any) -> str:
        page = await visit.context.new_page()
        await visit.open(page, echo.page("/form", "<p>here</p>"))
        visit.cut_off()
        return str(await page.evaluate("fetch('/after').then(answer => answer.status, () => 'broken off')"))

    # 407 is the proxy's own answer.
    assert browser_job.browser.visit(work, timeout_s=30, options=VisitOptions()) in {"407", "broken off"}
    assert [] == echo.sent()


def test_a_refused_address_is_refused_in_a_form_too(echo: EchoServer, browser_job: FakeJob) -> None:
    """The service behind it hears nothing."""
    denied = RawServer(b"HTTP/1.1 204 No Content\r\n\r\n")
    form = f"<form action='http://{denied.endpoint}/s'><input name=q><button>Go</button></form>"
    try:
        with pytest.raises(Exception, match=r"not allowed|refused"):
            run(browser_job, tool_of(form, url=echo.page("/form", form)), {"q": "x"})
        assert 0 == denied.arrivals
    finally:
        denied.close()
