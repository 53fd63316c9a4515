"""Comparing bodies; those of multipart/form-data part by part, for each sender invents its own boundary."""


def same_body(type_a: str, a: bytes, type_b: str, b: bytes) -> bool:
    """Whether two bodies say the same in the same order; the types are their whole Content-Type."""
    if type_a.startswith("multipart/") and type_b.startswith("multipart/"):
        return parts(type_a, a) == parts(type_b, b)
    return a == b


def parts(content_type: str, body: bytes) -> list[bytes]:
    """Return headers and content of each part, in order."""
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip('" ').encode("ascii", "replace")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    return [piece.removeprefix(b"\r\n") for piece in pieces[1:] if not piece.startswith(b"--")]
