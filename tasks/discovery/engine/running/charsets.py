"""Text as a form sends it in the charset of its page.

A character that the charset lacks becomes a decimal reference (``&#8364;``). Only charsets whose codec was compared
with the browser's, over every character of the basic plane, are here; a form in another one runs in the browser.
Source: WHATWG Encoding Standard, section 4 and "encode or fail" with the mode "html".
"""

from functools import cache

from tasks.core.errors import Permanent

_SINGLE_BYTE = {
    "ibm866": "cp866",
    **{f"iso-8859-{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "iso-8859-8-i": "iso8859_8",
    "koi8-r": "koi8_r",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    # The browser's windows-1255 has a character that Python's lacks.
    **{f"windows-125{part}": f"cp125{part}" for part in range(9) if part != 5},
}
_CODECS = {**_SINGLE_BYTE, "utf-8": "utf-8", "euc-kr": "cp949"}
# Labels that pages use for an encoding of another name.
_LABELS = {
    **dict.fromkeys(("ascii", "us-ascii", "latin1", "iso-8859-1", "iso8859-1", "cp1252"), "windows-1252"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "windows-1254"),
    **dict.fromkeys(("sjis", "shift-jis", "windows-31j", "ms_kanji", "x-sjis"), "shift_jis"),
    **dict.fromkeys(("utf8", "utf-16", "utf-16le", "utf-16be", "unicode"), "utf-8"),
}


def encode(text: str, charset: str) -> bytes:
    """Return ``text`` in ``charset``, what it lacks as decimal references.

    Raises:
        Permanent: a charset that is not here.
    """
    name = _name_of(charset)
    if name == "shift_jis":
        return b"".join(_shift_jis().get(c) or f"&#{ord(c)};".encode("ascii") for c in _whole(text))
    codec = _CODECS.get(name)
    if codec is None:
        raise Permanent(f"Text cannot be sent in the charset {charset[:40]!r} without a browser: use the browser.")
    text = _whole(text)
    if name not in _SINGLE_BYTE:
        return text.encode(codec, "xmlcharrefreplace")
    return b"".join(_one_byte(character, codec) for character in text)


def is_known(charset: str) -> bool:
    """Whether ``encode`` can write it."""
    return _name_of(charset) in {*_CODECS, "shift_jis"}


def _name_of(charset: str) -> str:
    label = charset.strip().lower()
    return _LABELS.get(label, label)


def _whole(text: str) -> str:
    """Return ``text`` with the replacement character for each lone half of a pair."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@cache
def _shift_jis() -> dict[str, bytes]:
    """Return the bytes of each character. Python's codec writes private characters, and others at a later place."""
    table = {chr(n): bytes((n,)) for n in range(0x81)} | {chr(0xFEC0 + n): bytes((n,)) for n in range(0xA1, 0xE0)}
    for lead in (*range(0x81, 0xA0), *range(0xE0, 0xFD)):
        for trail in (*range(0x40, 0x7F), *range(0x80, 0xFD)):
            pointer = (lead - (0x81 if lead < 0xA0 else 0xC1)) * 188 + trail - (0x40 if trail < 0x7F else 0x41)
            # Left out: the second place of what stands at 10716 and after, and the private characters before it.
            pair = bytes((lead, trail))
            if not 8272 <= pointer < 10716 and len(character := pair.decode("cp932", "replace")) == 1:
                table.setdefault(character, pair)
    table.pop("\ufffd", None)
    return table | {"\u00a5": b"\x5c", "\u203e": b"\x7e", "\u2212": table["\uff0d"]}


def _one_byte(character: str, codec: str) -> bytes:
    try:
        return character.encode(codec)
    except UnicodeEncodeError:
        # A byte that stands for nothing stands for the control character of its number.
        if 0x80 <= ord(character) <= 0x9F and _is_unassigned(ord(character), codec):
            return bytes((ord(character),))
        return f"&#{ord(character)};".encode("ascii")


def _is_unassigned(byte: int, codec: str) -> bool:
    return bytes((byte,)).decode(codec, "ignore") == ""
