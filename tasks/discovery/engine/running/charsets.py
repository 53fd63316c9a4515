"""Text as a form sends it in the charset of its page.

A character that the charset lacks becomes a decimal reference (``&#8364;``). Only charsets whose codec was compared
with the browser's, over every character of the basic plane, are here; a form in another one runs in the browser.
Source: WHATWG Encoding Standard, section 4 and "encode or fail" with the mode "html".
"""

from tasks.core.errors import Permanent

_SINGLE_BYTE = {
    "ibm866": "cp866",
    **{f"iso-8859-{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    "iso-8859-8-i": "iso8859_8",
    "koi8-r": "koi8_r",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
    **{f"windows-125{part}": f"cp125{part}" for part in range(9)},
}
_CODECS = {**_SINGLE_BYTE, "utf-8": "utf-8", "shift_jis": "cp932", "euc-kr": "cp949"}
# Labels that pages use for an encoding of another name.
_LABELS = {
    **dict.fromkeys(("ascii", "us-ascii", "latin1", "iso-8859-1", "iso8859-1", "cp1252"), "windows-1252"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "windows-1254"),
    **dict.fromkeys(("utf8", "utf-16", "utf-16le", "utf-16be", "unicode"), "utf-8"),
    **dict.fromkeys(("sjis", "shift-jis", "windows-31j", "ms_kanji", "x-sjis"), "shift_jis"),
}
# As the standard's encoder begins: these have no place of their own in the index.
_BEFORE_SHIFT_JIS = str.maketrans({"\u00a5": "\\", "\u203e": "~", "\u2212": "\uff0d"})


def encode(text: str, charset: str) -> bytes:
    """Return ``text`` in ``charset``, what it lacks as decimal references.

    Raises:
        Permanent: a charset that is not here.
    """
    name = _name_of(charset)
    codec = _CODECS.get(name)
    if codec is None:
        raise Permanent(f"Text cannot be sent in the charset {charset[:40]!r} without a browser: use the browser.")
    if name == "shift_jis":
        text = text.translate(_BEFORE_SHIFT_JIS)
    # A lone half of a pair is sent as the replacement character.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if name not in _SINGLE_BYTE:
        return text.encode(codec, "xmlcharrefreplace")
    return b"".join(_one_byte(character, codec) for character in text)


def is_known(charset: str) -> bool:
    """Whether ``encode`` can write it."""
    return _name_of(charset) in _CODECS


def _name_of(charset: str) -> str:
    label = charset.strip().lower()
    return _LABELS.get(label, label)


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
