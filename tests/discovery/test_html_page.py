"""Reading forms, controls and links out of HTML, by the rules of the HTML standard."""

import pytest

from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Control, Form, Method, Option, Page

URL = "https://example.org/shop/list?page=2"


def page(body: str) -> Page:
    return read_page(f"<!doctype html><html lang='en'><title> A  page </title><body>{body}", url=URL)


def form(body: str) -> Form:
    (found,) = page(body).forms
    return found


def control(body: str) -> Control:
    (found,) = form(f"<form>{body}</form>").controls
    return found


def test_page_has_title_language_and_base() -> None:
    found = read_page("<html lang=' de '><base href='/b/'><title>x\n y</title><a href=c>z</a>", url=URL)
    assert ("x y", "de", "https://example.org/b/") == (found.title, found.lang, found.base_url)
    assert "https://example.org/b/c" == found.links[0].href


@pytest.mark.parametrize("html", ["", "   ", "<!-- nothing -->", "\0"])
def test_an_empty_page_is_a_page(html: str) -> None:
    assert () == read_page(html, url=URL).forms


def test_form_attributes_are_normalised() -> None:
    """An unknown method or encoding is the default; no action means the page's own address."""
    found = form("<form method=' POST ' enctype='multipart/form-data' action='../go?x=1'></form>")
    assert (Method.POST, "multipart/form-data") == (found.method, found.enctype)
    assert "https://example.org/go?x=1" == found.action
    other = form("<form method=put enctype=x action=' '></form>")
    assert (Method.GET, "application/x-www-form-urlencoded", URL) == (other.method, other.enctype, other.action)


def test_controls_belong_to_the_form_that_their_attribute_names() -> None:
    """``form=`` wins over the place; one that names no form leaves the control without an owner."""
    found = page(
        "<form id=a><input name=inside><input name=moved form=b><input name=lost form=none></form>"
        "<form id=b></form><input name=outside form=a><input name=loose>"
    )
    first, second = found.forms
    assert ["inside", "outside"] == [one.name for one in first.controls]
    assert ["moved"] == [one.name for one in second.controls]
    assert ["lost", "loose"] == [one.name for one in found.loose]


def test_a_form_that_the_parser_closed_early_keeps_its_controls() -> None:
    """Browsers keep a misnested form open until its end tag."""
    found = form("<div><form><input type=hidden name=h></div><p><input name=q></p></form>")
    assert ["h", "q"] == [one.name for one in found.controls]


@pytest.mark.parametrize(
    ("html", "label"),
    [
        ("<label for=x>For</label><input id=x>", "For"),
        ("<label>Around <input> it</label>", "Around it"),
        ("<label for=x>One</label><label for=x>Two</label><input id=x>", "One Two"),
        ("<input aria-label='Aria'>", "Aria"),
        ("<span id=s>Part</span><span id=t>two</span><input aria-label=no aria-labelledby='s gone t'>", "Part two"),
        ("<label for=x>Native</label><input id=x aria-label=Aria>", "Aria"),
        ("<label for=gone>Nobody</label><input>", ""),
        ("<label for=gone>Not even inside <input></label>", ""),
        ("<label>Colour <select><option>red<option>blue</select></label>", "Colour"),
        ("<label for=x>A<script>no()</script><b> b</b></label><input id=x>", "A b"),
    ],
)
def test_label_follows_the_rules_of_names(html: str, label: str) -> None:
    assert label == control(html).label


def test_other_words_about_a_control() -> None:
    found = control(
        "<p id=d>More words</p><fieldset><legend>Group</legend>"
        "<input placeholder=' e.g. x ' title=T aria-describedby=d></fieldset>"
    )
    assert ("e.g. x", "T", "Group", "More words") == (found.placeholder, found.title, found.legend, found.description)


def test_text_around_controls_stands_in_for_labels() -> None:
    """Pages of tables have no labels; what precedes or follows a control is kept."""
    first, second = form(
        "<form><table><tr><td>User:<td><input><tr><td>Stay<td><input> for long</table></form>"
    ).controls
    assert ("User:", "Stay") == (first.text_before, first.text_after)
    assert ("Stay", "for long") == (second.text_before, second.text_after)


def test_options_have_values_labels_and_groups() -> None:
    found = control(
        "<select name=s><option>Plain<option value=b label=Bee selected>x"
        "<optgroup label=G disabled><option value=c>Cee</optgroup></select>"
    )
    assert (
        Option("Plain", "Plain"),
        Option("b", "Bee", is_selected=True),
        Option("c", "Cee", group="G", is_disabled=True),
    ) == found.options


def test_a_data_list_gives_options_to_its_input() -> None:
    found = form("<form><input list=l><datalist id=l><option value=a><option value=b></datalist></form>").controls[0]
    assert ["a", "b"] == [option.value for option in found.options]


@pytest.mark.parametrize(
    ("html", "kind"),
    [
        ("<input>", "text"),
        ("<input type=nonsense>", "text"),
        ("<input type=' EMAIL '>", "email"),
        ("<select multiple></select>", "select-multiple"),
        ("<select></select>", "select-one"),
        ("<textarea></textarea>", "textarea"),
        ("<button>x</button>", "submit"),
        ("<button type=menu>x</button>", "submit"),
        ("<button type=button>x</button>", "button"),
        ("<input type=image>", "image"),
    ],
)
def test_types_are_those_of_html(html: str, kind: str) -> None:
    assert kind == control(html).type


def test_constraints_are_read() -> None:
    found = control("<input required readonly minlength=2 maxlength=x pattern='[a-z]+' min=1 max=9 step=any multiple>")
    assert (True, True, True, 2, None) == (
        found.is_required,
        found.is_readonly,
        found.is_multiple,
        found.min_length,
        found.max_length,
    )
    assert ("[a-z]+", "1", "9", "any") == (found.pattern, found.min, found.max, found.step)


def test_a_disabled_fieldset_disables_all_but_its_legend() -> None:
    first, second, third = form(
        "<form><fieldset disabled><legend><input></legend><input></fieldset><input disabled></form>"
    ).controls
    assert (False, True, True) == (first.is_disabled, second.is_disabled, third.is_disabled)


@pytest.mark.parametrize("around", ["<div hidden>", "<div style='color:red; DISPLAY : none'>"])
def test_what_attributes_hide_is_not_visible(around: str) -> None:
    assert not control(f"{around}<input></div>").is_visible
    assert control("<div><input></div>").is_visible


def test_values_that_the_page_came_with() -> None:
    text, box, area = form(
        "<form><input value=v><input type=checkbox checked><textarea>\na\nb</textarea></form>"
    ).controls
    assert ("v", "on", True, "a\nb") == (text.value, box.value, box.is_checked, area.value)


def test_buttons_say_where_they_send_the_form() -> None:
    found = control("<button name=do value=1 formaction='/del' formmethod=POST><img alt=Bin></button>")
    assert ("Bin", "https://example.org/del", "post") == (found.caption, found.form_action, found.form_method)
    assert found.is_submit


def test_form_heading_is_its_own_or_the_one_before() -> None:
    found = page("<h2>Before</h2><form><input></form><form><h3>Own</h3><input></form>")
    assert ["Before", "Own"] == [one.heading for one in found.forms]


def test_links_know_what_is_around_them() -> None:
    found = page(
        "<nav class='pager main' aria-label=Pages><a href='?page=1' rel='PREV nofollow' class='a b'>1</a> <b>2</b> "
        "<a href='?page=3' aria-current=page><img alt=Next></a> end</nav>"
    ).links
    assert ["https://example.org/shop/list?page=1", "https://example.org/shop/list?page=3"] == [
        one.href for one in found
    ]
    assert (("prev", "nofollow"), ("a", "b"), "2") == (found[0].rel, found[0].class_tokens, found[0].text_after)
    assert ("nav", "Pages", ("pager", "main")) == (
        found[0].ancestors[0].tag,
        found[0].ancestors[0].label,
        found[0].ancestors[0].class_tokens,
    )
    assert ("Next", "2", "end", True) == (
        found[1].image_text,
        found[1].text_before,
        found[1].text_after,
        found[1].is_current,
    )


def test_a_target_that_is_no_address_is_kept_as_it_stands() -> None:
    assert "http://[broken" == page("<a href=' http://[broken '>x</a>").links[0].href


def test_scripts_are_no_text() -> None:
    assert (
        "Find it"
        == form("<form>Find <script>var x</script><style>p{}</style>it <select><option>no</select></form>").text
    )


def test_very_deep_pages_are_read() -> None:
    """Nesting beyond the parser's limit cuts the page short and breaks nothing."""
    deep = read_page("<form><input name=q><label>" + "<div>" * 20000 + "</form>", url=URL)
    assert "q" == deep.forms[0].controls[0].name
