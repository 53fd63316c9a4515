"""HTML's form submission without a browser: what the standard and Chromium do, in small."""

import base64

import pytest

from tasks.core.errors import InputRejected, Permanent
from tasks.discovery.engine.running.encoding import FilePart, encode_body, form_request, multipart, urlencoded
from tasks.discovery.engine.running.filling import as_text, fill
from tasks.discovery.engine.running.multipart_parts import parts, same_body
from tasks.discovery.tool import FormCall, FormField

PAGE = "http://example.org/p"


def call(*fields: FormField, **changes: object) -> FormCall:
    return FormCall(page_url=PAGE, url="http://example.org/s?old=1#f", fields=fields).model_copy(update=changes)


def sent(form: FormCall, arguments: dict[str, object] | None = None) -> str:
    request = form_request(form, fill(form, arguments or {}, schema={}))
    return request.body.decode() if form.method == "POST" else request.url


def test_get_replaces_the_query_and_post_keeps_it() -> None:
    """The fragment goes in both."""
    field = FormField(name="q", type="text", input="q", value="page's own")
    assert "http://example.org/s?q=page%27s+own" == sent(call(field))
    assert "http://example.org/s?q=" == sent(call(field), {"q": ""})
    assert "http://example.org/s?" == sent(call())
    post = call(field, method="POST")
    assert "http://example.org/s?old=1" == form_request(post, fill(post, {}, schema={})).url


def test_order_is_the_document_s_with_the_button_in_its_place() -> None:
    """Choices are sent in the order of their options; a list of values goes to the controls of one name in turn."""
    form = call(
        FormField(name="b", type="submit", value="1"),
        FormField(name="other", type="submit", value="2"),
        FormField(name="m", type="select-multiple", input="m", options=("x", "y", "z"), chosen=("y",)),
        FormField(name="t", type="text", input="t", value="old1"),
        FormField(name="t", type="text", input="t", value="old2"),
        FormField(name="off", type="text", value="1", is_disabled=True),
        FormField(name="c", type="checkbox", input="c", value="1", is_checked=True),
        submit_name="b",
        submit_value="1",
    )
    assert "http://example.org/s?b=1&m=y&t=old1&t=old2&c=1" == sent(form)
    assert "http://example.org/s?b=1&m=x&m=z&t=n&t=old2" == sent(form, {"m": ["z", "x"], "t": ["n"], "c": False})
    with pytest.raises(InputRejected, match="takes 2"):
        fill(form, {"t": ["1", "2", "3"]}, schema={})


def test_values_are_cleaned_as_their_controls_clean_them() -> None:
    """One line stays one line; colours are in lower case; a moment has a T and no idle seconds."""
    for kind, value, expected in (
        ("text", "a\r\nb", "ab"), ("url", " http://x ", "http://x"), ("color", "#ABCDEF", "#abcdef"),
        ("datetime-local", "2026-01-02 03:04:00", "2026-01-02T03:04"),
        ("datetime-local", "2026-01-02T03:04:05.500", "2026-01-02T03:04:05.5"),
    ):  # fmt: skip
        (filled,) = fill(call(FormField(name="x", type=kind, input="x")), {"x": value}, schema={})
        assert expected == filled.text
    assert ["1", "1.5", "1e+21", "1e-7", "true", '{"a":[1]}'] == [
        as_text(value) for value in (1.0, 1.5, 1e21, 1e-7, True, {"a": [1]})
    ]


def test_every_newline_is_crlf_and_names_in_multipart_are_escaped() -> None:
    """Contents of files are left alone."""
    assert b"a%0D%0Ab=c%0D%0Ad%0D%0A" == urlencoded([("a\nb", "c\rd\r\n")])
    body = multipart([('a"\n', "x\ny"), ("f", FilePart('n"\r.txt', "text/plain", b"\n\xff"))], boundary="B")
    assert [
        b'Content-Disposition: form-data; name="a%22%0D%0A"\r\n\r\nx\r\ny',
        b'Content-Disposition: form-data; name="f"; filename="n%22%0D.txt"\r\nContent-Type: text/plain\r\n\r\n\n\xff',
    ] == parts("multipart/form-data; boundary=B", body)
    assert b"" == encode_body([], enctype="text/plain", charset="UTF-8")[1]


def test_multipart_bodies_are_equal_part_by_part_and_in_order() -> None:
    """Boundaries differ, contents may not."""
    one, two = [("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")]
    first, again, turned = (encode_body(e, enctype="multipart/form-data", charset="UTF-8") for e in (one, one, two))
    assert first[0] != again[0]
    assert same_body(*first, *again)
    assert not same_body(*first, *turned)
    assert not same_body(*first, first[0], first[1].replace(b"1", b"3", 1).replace(b"\r\n\r\n1", b"\r\n\r\n9"))


def test_files_are_base64_and_named_by_what_the_schema_knows() -> None:
    """What is no base64 is refused; a dialog sends nothing."""
    form = call(FormField(name="f", type="file", input="f"), method="POST", enctype="multipart/form-data")
    schema = {"properties": {"f": {"contentMediaType": "image/png"}}}
    (filled,) = fill(form, {"f": base64.b64encode(b"x").decode()}, schema=schema)
    assert (FilePart("upload.png", "image/png", b"x"),) == filled.files
    with pytest.raises(InputRejected, match="base64"):
        fill(form, {"f": "no!"}, schema={})
    with pytest.raises(Permanent, match="sends nothing"):
        sent(call(method="DIALOG"))
