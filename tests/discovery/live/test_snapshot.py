"""A page of a live browser: what static HTML says, and what only the browser knows."""

import pytest

from tasks.core.browser import Visit, WarmBrowser
from tasks.discovery.engine.looking import Looking
from tasks.discovery.engine.page import Form, Method
from tasks.discovery.engine.schema import input_schema
from tasks.discovery.engine.site import Snapshot
from tasks.discovery.engine.snapshot import take_snapshot
from tests.core.browser.site import Site
from tests.discovery.live.conftest import Snap


def names(form: Form) -> list[str]:
    return [control.name for control in form.controls]


def test_controls_belong_to_the_form_that_the_browser_says(site: Site, snap: Snap) -> None:
    """``form=`` and misnested tags, as the browser sees them."""
    found = snap(
        site.page(
            "/owners",
            "<title>Owners</title><div><form id=a action=/go method=post><input name=in></div><p><input name=out></p>"
            "</form><input name=far form=a><input name=loose><input name=lost form=none>",
        )
    )
    (form,) = found.page.forms
    assert ["in", "out", "far"] == names(form)
    assert (site.url("/go"), Method.POST, "Owners", 200) == (form.action, form.method, found.page.title, found.status)
    assert ["loose", "lost"] == [control.name for control in found.page.loose]


def test_open_shadow_roots_are_read_where_they_are_shown(site: Site, snap: Snap) -> None:
    """Forms in them, labels by ids of their own scope, slotted controls in their place."""
    found = snap(
        site.page(
            "/shadow",
            "<label for=q>Outer</label><input id=q name=outer><x-box><form action=/slotted><input name=slotted></form>"
            "</x-box><script>customElements.define('x-box', class extends HTMLElement { connectedCallback() {"
            "this.attachShadow({mode: 'open'}).innerHTML = '<form action=/inner><label for=q>Inner</label>"
            "<input id=q name=inner></form><slot></slot>'}})</script>",
        )
    )
    assert [site.url("/inner"), site.url("/slotted")] == [form.action for form in found.page.forms]
    assert "Inner" == found.page.forms[0].controls[0].label
    assert "Outer" == found.page.loose[0].label
    assert ["slotted"] == names(found.page.forms[1])


def test_links_of_a_menu_that_a_script_has_put_away_are_known(site: Site, browser: WarmBrowser) -> None:
    """They are in the document as it was sent; those in sight are not told twice."""
    url = site.page(
        "/menu",
        "<a href=/shown>Shown</a><div id=menu hidden><a href=/shown>Shown</a><a href=copy>Copy</a><a href=copy>Copy</a>"
        "</div><script>document.getElementById('menu').remove()</script>",
    )

    async def work(visit: Visit) -> Snapshot:
        return (await Looking(explores=False)(visit, url, 10))[1]

    page = browser.run(work, timeout_s=60).page
    assert [site.url("/shown")] == [link.href for link in page.links]
    assert [(site.url("/copy"), "Copy")] == [(link.href, link.text) for link in page.kept_back]


def test_frames_of_the_same_origin_are_read_and_no_others(site: Site, other_site: Site, snap: Snap) -> None:
    """Also those without an address of their own."""
    site.page("/inside", "<form action=do><input name=inside></form><a href=x>x</a>")
    found = snap(
        site.page(
            "/frames",
            f"<form><input name=top></form><iframe src=/inside></iframe><iframe srcdoc='<form action=/s><input name=s>"
            f"</form>'></iframe><iframe src='{other_site.page('/', '<form><input name=foreign></form>')}'></iframe>",
        )
    )
    assert [["top"], ["inside"], ["s"]] == [names(form) for form in found.page.forms]
    assert [site.url("/frames"), site.url("/do"), site.url("/s")] == [form.action for form in found.page.forms]
    assert ["", site.url("/inside"), "about:srcdoc"] == [one.frame_url for one in found.selectors]
    assert [site.url("/x")] == [link.href for link in found.page.links]


def test_visibility_is_what_the_styles_say(site: Site, snap: Snap) -> None:
    """Style sheets, no size, beyond the edge; a box behind a drawn label is there."""
    found = snap(
        site.page(
            "/visible",
            "<style>.a{display:none} .b{visibility:hidden} .c{position:absolute;left:-9999px} .d{width:0;height:0;"
            "padding:0;border:0} .e{position:absolute;opacity:0;width:1px;height:1px}</style><form><input name=seen>"
            "<div class=a><input name=a></div><input class=b name=b><input class=c name=c><input class=d name=d>"
            "<input type=checkbox class=e name=e id=e><label for=e>Box</label><details><input name=f></details></form>",
        )
    )
    assert ["seen", "e"] == [control.name for control in found.page.forms[0].controls if control.is_visible]


def test_fields_that_a_widget_fills_in_are_those_that_a_label_in_sight_names(site: Site, snap: Snap) -> None:
    """Hidden ones are inputs then, called after the label; a trap has its label out of sight, too."""
    found = snap(
        site.page(
            "/widgets",
            "<form method=post><label for=body>Your text</label><input type=hidden id=body name=body value=null>"
            "<div contenteditable>…</div><label for=tags>Tags</label><input id=tags name=tags style='display:none'>"
            "<div style='display:none'><label for=url>Leave empty</label><input id=url name=url></div>"
            "<input type=hidden name=plain value=1><button>Save</button></form>",
        )
    )
    (form,) = found.page.forms
    assert ["body", "tags"] == [control.name for control in form.controls if control.is_of_widget]
    schema = input_schema(form)["properties"]
    assert {"body", "tags", "url"} == set(schema)
    assert "Your text" == schema["body"]["description"]


def test_values_are_the_present_ones(site: Site, snap: Snap) -> None:
    """What scripts have put in, chosen, ticked and enabled since."""
    found = snap(
        site.page(
            "/values",
            "<form><input name=t value=old><textarea name=a>old</textarea><input type=checkbox name=c><select name=s>"
            "<option>one<option>two</select><fieldset disabled><input name=f></fieldset></form><script>"
            "const [t, a, c, s] = document.querySelectorAll('input, textarea, select'); t.value = 'n\\u00e9w \"&<';"
            "document.querySelector('textarea').value = '\\nnew\\n'; "
            "document.querySelector('[type=checkbox]').checked = true;"
            "document.querySelector('select').selectedIndex = 1</script>",
        )
    )
    text, area, box, choice, off = found.page.forms[0].controls
    assert ('néw "&<', "\nnew\n", True, True) == (text.value, area.value, box.is_checked, off.is_disabled)
    assert [False, True] == [option.is_selected for option in choice.options]


def test_names_that_only_the_browser_computes_are_used_where_the_page_gives_none(site: Site, snap: Snap) -> None:
    found = snap(
        site.page(
            "/names",
            "<style>#s::before{content:'Go now'}</style><form><input name=q aria-label=Query><input name=p "
            "placeholder=Place><input name=w><button id=s></button><button name=i><svg><title>Find</title><path d=''/>"
            "</svg></button></form><script>document.querySelector('[name=w]').ariaLabelledByElements = "
            "[document.querySelector('svg')]</script>",
        )
    )
    controls = found.page.forms[0].controls
    assert ["Query", "", "Find", "", ""] == [control.label for control in controls]
    assert ["Go now", "Find"] == [control.caption for control in controls[3:]]


def test_pages_that_shadow_the_names_of_the_dom_are_read(site: Site, snap: Snap) -> None:
    """Controls and forms called like properties, prototypes with other functions."""
    clobbered = ("action", "id", "elements", "getAttribute", "childNodes", "firstChild", "parentNode", "method")
    inputs = "".join(f"<input name={name}>" for name in (*clobbered, "nodeType", "localName", "querySelectorAll"))
    found = snap(
        site.page(
            "/clobbered",
            f"<form action=/real method=post id=me>{inputs}</form><form name=querySelectorAll></form>"
            "<form name=documentElement></form><img name=evaluate><script>Array.prototype.toJSON = () => 'mine';"
            "Array.prototype.push = Map.prototype.get = JSON.stringify = Element.prototype.getAttribute ="
            "String.prototype.replace = () => { throw 1 };"
            "Object.defineProperty(HTMLInputElement.prototype, 'value', {get() { throw 1 }})</script>",
        )
    )
    form = found.page.forms[0]
    assert (site.url("/real"), "me", Method.POST, 11) == (form.action, form.id, form.method, len(form.controls))


def test_pages_without_anything_are_read(site: Site, snap: Snap) -> None:
    assert () == snap(site.page("/nothing", "")).page.forms
    site.serve("/frameset", b"<frameset cols='*'><frame src=/inside></frameset>", Content_Type="text/html")
    assert [["inside"]] == [names(form) for form in snap(site.url("/frameset")).page.forms]
    site.serve("/text", b"plain <form>", Content_Type="text/plain")
    assert () == snap(site.url("/text")).page.forms
    site.serve("/xml", b"<a><form/><b:c xmlns:b='x'>t</b:c></a>", Content_Type="application/xml")
    snap(site.url("/xml"))


def test_text_that_xml_cannot_hold_is_read(site: Site, snap: Snap) -> None:
    found = snap(
        site.page(
            "/signs",
            "<form><input name=t><o:p>Word</o:p><input type=hidden name=h></form><script>"
            "document.querySelector('[name=t]').setAttribute('placeholder', "
            "'\\u0001a\\ud800b\\uffff ]]> \\ud83d\\ude00');"
            "document.querySelector('[name=h]').value = 'a\\r\\n\\tb'</script>",
        )
    )
    text, hidden = found.page.forms[0].controls
    assert ("ab ]]> \U0001f600", "a\r\n\tb", "Word") == (text.placeholder, hidden.value, found.page.forms[0].text)


def test_huge_and_deep_pages_are_cut_and_say_so(site: Site, snap: Snap) -> None:
    found = snap(
        site.page(
            "/huge",
            "<form><input name=first></form><script>let at = document.body; for (let i = 0; i < 800; i++) {"
            "at = at.appendChild(document.createElement('div')) } at.innerHTML = '<form action=/deep><input></form>';"
            "document.body.insertAdjacentHTML('beforeend', '<p><a href=x>link</a><input>'.repeat(14000))</script>",
        )
    )
    assert found.is_cut
    assert [site.url("/huge"), site.url("/deep")] == [form.action for form in found.page.forms]
    assert not snap(site.page("/small", "<form></form>")).is_cut


def test_selectors_find_each_form_and_control_and_nothing_else(site: Site, browser: WarmBrowser) -> None:
    """Playwright finds exactly one element by each, and it is the same by all of an element's selectors."""
    url = site.page(
        "/selectors",
        "<form id=one name=f><label>Wrapped <input></label><label for=ember1234>For</label><input id=ember1234>"
        "<input name=q><input name='we\"ird[]\\\\x'><input placeholder='a \"b\"'><input type=radio name=r value=1>"
        "<input type=radio name=r value=2><button>Go</button><button>Go</button><button> Only  this </button></form>"
        "<form role=search><input name=q><input type=submit value=Find></form><form><input name=q>"
        f"<input type=checkbox name=long value={'x' * 200}><input type=submit name=e value=''></form><p><form>"
        "<div></div><x-box></x-box></form><script>customElements.define('x-box', class extends HTMLElement {"
        "connectedCallback() { this.attachShadow({mode: 'open'}).innerHTML = '<div><form><div><input></div><p><input>"
        "</form></div><form><input name=only></form>'}})</script>",
    )

    async def work(visit: Visit) -> tuple[Snapshot, list[list[tuple[str, int, str]]]]:
        page = await visit.context.new_page()
        await visit.open(page, url, until="load")
        snapshot = await take_snapshot(page)
        tries = []
        for one in snapshot.selectors:
            for selectors in (one.form, *one.controls):
                tried = []
                for selector in selectors:
                    locator = page.locator(selector)
                    count = await locator.count()
                    mark = "e => window.marks?.get(e) ?? (window.marks ??= new Map()).set(e, marks.size + 1).get(e)"
                    tried.append((selector, count, str(await locator.first.evaluate(mark))))
                tries.append(tried)
        return snapshot, tries

    snapshot, tries = browser.run(work, timeout_s=60)
    assert sum(1 + len(form.controls) for form in snapshot.page.forms) == len(tries)
    assert [] == [one for tried in tries for one in tried if one[1] != 1]
    assert all(1 == len({mark for *_, mark in tried}) for tried in tries)
    first = snapshot.selectors[0]
    assert "#one" == first.form[0]
    assert '#one input[name="q"]' == first.controls[2][0]
    assert 'xpath=//label[normalize-space(.)="Wrapped"]//input' == first.controls[0][0]
    assert 'xpath=//input[@id=//label[normalize-space(.)="For"]/@for]' == first.controls[1][0]
    assert 'button:text-is("Only this")' == first.controls[-1][0]
    assert all(not selector.startswith("#ember") for selector in first.controls[1])


def test_tools_that_a_page_declares_are_listed(site: Site, snap: Snap) -> None:
    """Those that scripts register, and those compiled from the attributes of forms, told apart."""
    found = snap(
        site.page(
            "/declared",
            "<form toolname=find tooldescription='Find it'><input name=q required></form><script>"
            "document.modelContext?.registerTool({name: 'add', description: 'Adds', inputSchema: {type: 'object', "
            "properties: {a: {type: 'number'}}}, annotations: {readOnlyHint: true}, execute() {}})</script>",
        )
    )
    if not found.declared:
        pytest.skip("this Chromium has no WebMCP behind its flag")
    by_name = {tool.name: tool for tool in found.declared}
    assert {"find", "add"} == set(by_name)
    assert (True, False) == (by_name["add"].is_imperative, by_name["find"].is_imperative)
    assert {"type": "number"} == by_name["add"].input_schema["properties"]["a"]
    assert ["q"] == by_name["find"].input_schema["required"]
