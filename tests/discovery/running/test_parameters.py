"""Inputs go where an API's description says, in its styles."""

import base64
import json
from typing import Any

import pytest

from tasks.core.errors import InputRejected
from tasks.discovery.engine.running.encoding import WireRequest
from tasks.discovery.engine.running.multipart_parts import parts
from tasks.discovery.engine.running.parameters import PreparedRequest, call_request
from tasks.discovery.tool import Place, RequestCall, Slot

API = "https://api.example.org"
COLOURS: list[Any] = ["blue", "bl ack"]
RGB: dict[str, Any] = {"R": 100, "G": "x&y"}


def prepared(slots: dict[str, Slot] | list[Slot], arguments: dict[str, Any], **call: Any) -> PreparedRequest:
    listed = list(slots.values()) if isinstance(slots, dict) else slots
    schema = call.pop("schema", {})
    return call_request(
        RequestCall(url=call.pop("url", f"{API}/x"), slots=tuple(listed), **call), arguments, schema=schema
    )


def sent(slot: Slot, value: Any, **call: Any) -> WireRequest:
    return prepared([slot], {slot.input: value}, **call).request


# The table of OpenAPI 3.1.1, 4.8.12.4, "color" for its examples.
@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("form", True, "", "c="),
        ("form", True, "blue", "c=blue"),
        ("form", True, COLOURS, "c=blue&c=bl%20ack"),
        ("form", True, RGB, "R=100&G=x%26y"),
        ("form", False, COLOURS, "c=blue,bl%20ack"),
        ("form", False, RGB, "c=R,100,G,x%26y"),
        ("spaceDelimited", False, COLOURS, "c=blue%20bl%20ack"),
        ("pipeDelimited", False, RGB, "c=R%7C100%7CG%7Cx%26y"),
        ("deepObject", True, RGB, "c%5BR%5D=100&c%5BG%5D=x%26y"),
        ("", True, 1.0, "c=1"),
        ("", True, True, "c=true"),
    ],
)
def test_styles_of_a_query(style: str, explode: bool, value: Any, expected: str) -> None:
    """Each is what the table says."""
    slot = Slot(input="c", place=Place.QUERY, style=style, explode=explode)
    assert f"{API}/x?{expected}" == sent(slot, value).url


@pytest.mark.parametrize(
    ("style", "explode", "value", "expected"),
    [
        ("simple", False, "a/b ü", "a%2Fb%20%C3%BC"),
        ("simple", False, COLOURS, "blue,bl%20ack"),
        ("simple", False, RGB, "R,100,G,x%26y"),
        ("simple", True, RGB, "R=100,G=x%26y"),
        ("label", True, COLOURS, ".blue.bl%20ack"),
        ("label", False, COLOURS, ".blue,bl%20ack"),
        ("label", True, RGB, ".R=100.G=x%26y"),
        ("matrix", True, "", ";c"),
        ("matrix", False, "blue", ";c=blue"),
        ("matrix", True, COLOURS, ";c=blue;c=bl%20ack"),
        ("matrix", False, COLOURS, ";c=blue,bl%20ack"),
        ("matrix", True, RGB, ";R=100;G=x%26y"),
    ],
)
def test_styles_of_a_path(style: str, explode: bool, value: Any, expected: str) -> None:
    """Each is what the table says, and no value leaves its segment."""
    slot = Slot(input="c", place=Place.PATH, style=style, explode=explode)
    assert f"{API}/in/{expected}/out" == sent(slot, value, url=f"{API}/in/{{c}}/out").url


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_path_is_not_walked_out_of(value: str) -> None:
    """Such a segment would change which resource is meant."""
    with pytest.raises(InputRejected, match="path"):
        sent(Slot(input="c", place=Place.PATH), value, url=f"{API}/in/{{c}}")


def test_a_path_without_its_input_is_refused() -> None:
    """The placeholder itself is never sent."""
    with pytest.raises(InputRejected, match="c: missing"):
        prepared([Slot(input="c", place=Place.PATH)], {}, url=f"{API}/in/{{c}}")


def test_fixed_parts_come_first_and_an_input_that_was_not_given_is_left_out() -> None:
    """A query in the address stays."""
    slots = [Slot(input="q", place=Place.QUERY, name="query"), Slot(input="page", place=Place.QUERY)]
    request = prepared(slots, {"q": "x"}, url=f"{API}/x?v=1", query=(("key", "a b"),)).request
    assert f"{API}/x?v=1&key=a%20b&query=x" == request.url


def test_headers_and_cookies_are_sent_but_never_the_connection_s_own() -> None:
    """A line break cannot add another header."""
    slots = [Slot(input="a", place=Place.HEADER, name="X-A"), Slot(input="s", place=Place.COOKIE, name="sid")]
    ready = prepared(slots, {"a": ["1", "2"], "s": "v;w"}, headers=(("X-Fixed", "f"),))
    assert (("X-Fixed", "f"), ("X-A", "1,2")) == ready.request.headers
    assert {"sid": "v%3Bw"} == ready.cookies
    for name, value in (("Host", "evil"), ("Transfer-Encoding", "chunked"), ("X-A", "a\r\nX-B: c"), ("X\r\nA", "a")):
        with pytest.raises(InputRejected):
            sent(Slot(input="h", place=Place.HEADER, name=name), value)


def test_json_body_is_filled_by_pointers_and_its_fixed_part_stays() -> None:
    """The call itself is not changed by a run."""
    slots = [
        Slot(input="q", place=Place.JSON, pointer="/variables/q"),
        Slot(input="odd", place=Place.JSON, pointer="/a~1b/m~0n"),
        Slot(input="item", place=Place.JSON, pointer="/list/-"),
        Slot(input="plain", place=Place.JSON),
    ]
    call = RequestCall(method="POST", url=f"{API}/x", slots=tuple(slots), body={"query": "{x}", "list": [1]})
    for _ in range(2):
        request = call_request(call, {"q": None, "odd": {"k": "ü"}, "item": 2, "plain": [1.5]}, schema={}).request
        expected = {
            "query": "{x}",
            "list": [1, 2],
            "variables": {"q": None},
            "a/b": {"m~n": {"k": "ü"}},
            "plain": [1.5],
        }
        assert expected == json.loads(request.body)
    assert (("Content-Type", "application/json"),) == request.headers


def test_whole_bodies_are_json_or_what_their_type_says() -> None:
    """Text stays text, base64 becomes its bytes."""
    whole = Slot(input="b", place=Place.BODY)
    assert b'["x"]' == sent(whole, ["x"], method="PUT").body
    assert b"a,b\n" == sent(whole, "a,b\n", method="PUT", media_type="text/csv").body
    coded = {"properties": {"b": {"contentEncoding": "base64"}}}
    body = base64.b64encode(b"\x00\xff").decode()
    assert b"\x00\xff" == sent(whole, body, method="PUT", media_type="image/png", schema=coded).body
    with pytest.raises(InputRejected, match="base64"):
        sent(whole, "?", method="PUT", media_type="image/png", schema=coded)


def test_form_bodies_are_encoded_as_forms_are() -> None:
    """Lists repeat their name; files need parts."""
    slots = [Slot(input="a", place=Place.FORM), Slot(input="f", place=Place.FORM)]
    plain = prepared(slots[:1], {"a": ["1 2", "ü"]}, method="POST", body={"fixed": 1}).request
    assert b"fixed=1&a=1+2&a=%C3%BC" == plain.body
    schema = {"properties": {"f": {"type": "string", "format": "binary", "contentMediaType": "text/csv"}}}
    given = {"a": "x", "f": base64.b64encode(b"1,2").decode()}
    multipart = prepared(slots, given, method="POST", media_type="multipart/form-data", schema=schema).request
    assert [
        b'Content-Disposition: form-data; name="a"\r\n\r\nx',
        b'Content-Disposition: form-data; name="f"; filename="upload.csv"\r\nContent-Type: text/csv\r\n\r\n1,2',
    ] == parts(dict(multipart.headers)["Content-Type"], multipart.body)


@pytest.mark.parametrize(
    ("style", "explode", "value", "body"),
    [
        ("", True, ["a", "b"], "m=a&m=b"),
        ("", True, {"k": 1}, "m=%7B%22k%22%3A1%7D"),
        ("form", True, ["a", "b"], "m=a&m=b"),
        ("form", True, {"k": 1, "l": "x"}, "k=1&l=x"),
        ("form", False, ["a", "b"], "m=a%2Cb"),
        ("spaceDelimited", False, ["a", "b"], "m=a+b"),
        ("pipeDelimited", False, ["a", "b"], "m=a%7Cb"),
        ("deepObject", True, {"k": 1, "in": {"l": True}}, "m%5Bk%5D=1&m%5Bin%5D%5Bl%5D=true"),
        ("deepObject", True, ["a", "b"], "m%5B%5D=a&m%5B%5D=b"),
        ("deepObject", True, [{"k": 1}], "m%5B0%5D%5Bk%5D=1"),
        ("deepObject", True, "plain", "m=plain"),
    ],
)
def test_members_of_a_form_are_written_as_the_description_says(
    style: str, explode: bool, value: Any, body: str
) -> None:
    """OpenAPI's encoding of each; without one a list repeats its name and an object is a JSON text."""
    slot = Slot(input="m", place=Place.FORM, style=style, explode=explode)
    assert body == sent(slot, value, method="POST", media_type="application/x-www-form-urlencoded").body.decode()


def test_parts_say_what_they_are() -> None:
    """An object is JSON, as is a list that is said to be; urlencoded bodies have no room for that."""
    slots = [
        Slot(input="meta", place=Place.FORM),
        Slot(input="tags", place=Place.FORM, media_type="application/json"),
        Slot(input="note", place=Place.FORM, media_type="text/markdown"),
        Slot(input="plain", place=Place.FORM),
    ]
    given = {"meta": {"a": 1}, "tags": ["x", "y"], "note": "# Hi", "plain": "p"}
    multipart = prepared(slots, given, method="POST", media_type="multipart/form-data").request
    assert [
        b'Content-Disposition: form-data; name="meta"\r\nContent-Type: application/json\r\n\r\n{"a":1}',
        b'Content-Disposition: form-data; name="tags"\r\nContent-Type: application/json\r\n\r\n["x","y"]',
        b'Content-Disposition: form-data; name="note"\r\nContent-Type: text/markdown\r\n\r\n# Hi',
        b'Content-Disposition: form-data; name="plain"\r\n\r\np',
    ] == parts(dict(multipart.headers)["Content-Type"], multipart.body)
