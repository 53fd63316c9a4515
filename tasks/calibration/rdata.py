"""R's data files (.rda, .rds), read without R: vectors, lists and their names, and nothing that could run.

R itself, before 4.4, may run code while it loads a file (CVE-2024-27322), so files that people send are read here.
Format: "Serialization Formats" in the manual R Internals, versions 2 and 3, binary (XDR).
"""

import bz2
import lzma
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_PLAIN_BYTES = 128 * 2**20
_MAX_DEPTH = 40
_MOST_ITEMS = 2_000_000

_NIL, _REFERENCE, _ALTREP = 254, 255, 238
_SYMBOL, _PAIRS, _CHARS = 1, 2, 9
_LOGICALS, _INTEGERS, _REALS, _STRINGS, _LIST = 10, 13, 14, 16, 19
_LATIN1 = 1 << 2


class RDataRefused(ValueError):
    """The bytes are no R data that we read; says why."""


@dataclass(frozen=True, slots=True)
class RVector:
    """A vector of R: numbers, strings or, of a list, any values; ``attributes`` holds names, dim and dimnames."""

    values: npt.NDArray[np.float64] | list[Any]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The names of the elements; none where it has none."""
        return _strings(self.attributes.get("names"))

    @property
    def dim(self) -> tuple[int, ...]:
        """The extent of an array along each dimension; empty where it is none."""
        dim = self.attributes.get("dim")
        return tuple(int(one) for one in dim.values) if isinstance(dim, RVector) else ()

    @property
    def dimnames(self) -> list[list[str]]:
        """The names along each dimension."""
        found = self.attributes.get("dimnames")
        return [_strings(one) for one in found.values] if isinstance(found, RVector) else []

    def named(self) -> dict[str, Any]:
        """Return the elements by name."""
        return dict(zip(self.names, self.values, strict=False))


def _strings(value: object) -> list[str]:
    return [str(one) for one in value.values] if isinstance(value, RVector) else []


def is_rdata(content: bytes) -> bool:
    """Tell whether the bytes begin as R's data files do."""
    return content.startswith((b"RDX", b"RDA", b"X\n", b"A\n", b"B\n", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"))


def read_rdata(content: bytes, *, max_bytes: int = MAX_PLAIN_BYTES) -> dict[str, Any]:
    """Return the objects of a file by name; that of an .rds file, which has none, under "".

    Raises:
        RDataRefused: it is damaged, too large, not binary, or holds more than data.
    """
    plain = _decompressed(content, max_bytes)
    if plain.startswith((b"RDX2\n", b"RDX3\n")):
        value = _Reader(plain[5:]).value()
        if not isinstance(value, list):
            raise RDataRefused("holds no named objects")
        return {name: one for name, one in value if name is not None}
    if plain.startswith((b"RDA", b"A\n", b"B\n")):
        raise RDataRefused("is not in R's binary form: save it again with save(…), without ascii")
    return {"": _Reader(plain).value()}


def _decompressed(content: bytes, max_bytes: int) -> bytes:
    try:
        if content.startswith(b"\x1f\x8b"):
            plain = zlib.decompressobj(wbits=31).decompress(content, max_bytes + 1)
        elif content.startswith(b"BZh"):
            plain = bz2.BZ2Decompressor().decompress(content, max_bytes + 1)
        elif content.startswith(b"\xfd7zXZ\x00"):
            plain = lzma.LZMADecompressor().decompress(content, max_bytes + 1)
        else:
            plain = content
    except (zlib.error, OSError, EOFError, lzma.LZMAError) as exc:
        raise RDataRefused(f"is damaged: {exc}") from exc
    if len(plain) > max_bytes:
        raise RDataRefused(f"is over {max_bytes // 2**20} MiB when it is unpacked")
    return plain


class _Reader:
    """Reads one serialised value. Each length is compared with what is left before anything is made of it."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._symbols: list[str] = []
        self._items = 0
        if self._take(2) != b"X\n":
            raise RDataRefused("is no R data file: expected .rda or .rds")
        version = self._integer()
        self._take(8)
        if version == 3:
            self._take(self._integer())
        elif version != 2:
            raise RDataRefused(f"has R's serialisation version {version}; 2 and 3 are read")

    def value(self, depth: int = 0) -> Any:
        """Read one value: a vector, a pairlist as (name, value) pairs, a symbol as text, or None."""
        self._items += 1
        if depth > _MAX_DEPTH or self._items > _MOST_ITEMS:
            raise RDataRefused("is nested too deeply, or holds too many values")
        flags = self._integer()
        kind = flags & 0xFF
        if kind == _NIL:
            return None
        if kind == _REFERENCE:
            return self._symbol_at((flags >> 8) or self._integer())
        if kind == _SYMBOL:
            self._symbols.append(self._text())
            return self._symbols[-1]
        if kind == _PAIRS:
            return self._pairs(flags, depth)
        if kind == _CHARS:
            return self._characters(flags)
        if kind == _ALTREP:
            return self._compact(depth)
        values = self._vector(kind, depth)
        return RVector(values, self._attributes(depth) if flags & (1 << 9) else {})

    def _vector(self, kind: int, depth: int) -> Any:
        length = self._length()
        if kind == _REALS:
            return np.frombuffer(self._take(8 * length), dtype=">f8").astype(np.float64)
        if kind in (_INTEGERS, _LOGICALS):
            numbers = np.frombuffer(self._take(4 * length), dtype=">i4")
            return np.where(numbers == np.iinfo(np.int32).min, np.nan, numbers.astype(np.float64))
        if kind == _STRINGS:
            return [self._text() for _ in range(self._bounded(length))]
        if kind == _LIST:
            return [self.value(depth + 1) for _ in range(self._bounded(length))]
        raise RDataRefused(f"holds more than data (R's type {kind}): only vectors and lists are read")

    def _pairs(self, flags: int, depth: int) -> list[tuple[str | None, Any]]:
        pairs: list[tuple[str | None, Any]] = []
        while True:
            if flags & (1 << 9):
                self.value(depth + 1)
            name = self.value(depth + 1) if flags & (1 << 10) else None
            pairs.append((name if isinstance(name, str) else None, self.value(depth + 1)))
            at = self._at
            flags = self._integer()
            if flags & 0xFF == _NIL:
                return pairs
            if flags & 0xFF != _PAIRS:  # a pair whose rest is no list
                self._at = at
                return [*pairs, (None, self.value(depth + 1))]
            self._bounded(1)

    def _attributes(self, depth: int) -> dict[str, Any]:
        pairs = self.value(depth + 1)
        return {name: value for name, value in pairs if name is not None} if isinstance(pairs, list) else {}

    def _compact(self, depth: int) -> RVector:
        """Read a vector that R kept in a short form (ALTREP)."""
        info, state, attributes = (self.value(depth + 1) for _ in range(3))
        form = info[0][1] if isinstance(info, list) and info else None
        kept = dict(attributes) if isinstance(attributes, list) else {}
        if form in ("compact_intseq", "compact_realseq") and isinstance(state, RVector) and len(state.values) == 3:
            length, first, step = (float(one) for one in state.values)
            if not 0 <= length <= _MOST_ITEMS:
                raise RDataRefused("holds too long a sequence")
            return RVector(np.asarray(first + step * np.arange(int(length)), dtype=np.float64), kept)
        if isinstance(form, str) and form.startswith("wrap_"):
            inner = state[0][1] if isinstance(state, list) else state.values[0] if isinstance(state, RVector) else None
            if isinstance(inner, RVector):
                return RVector(inner.values, {**inner.attributes, **kept})
        raise RDataRefused(f"holds a vector in a form that is not read ({form}): save a plain copy of it")

    def _characters(self, flags: int) -> str:
        length = self._integer()
        if length == -1:
            return "NA"
        text = self._take(length)
        try:
            return text.decode("latin-1" if (flags >> 12) & _LATIN1 else "utf-8")
        except UnicodeDecodeError as exc:
            raise RDataRefused(f"holds text that is not UTF-8: {text[:40]!r}") from exc

    def _text(self) -> str:
        flags = self._integer()
        if flags & 0xFF != _CHARS:
            raise RDataRefused("is damaged: expected text")
        return self._characters(flags)

    def _symbol_at(self, number: int) -> str:
        if not 0 < number <= len(self._symbols):
            raise RDataRefused("is damaged: it refers to what is not there")
        return self._symbols[number - 1]

    def _length(self) -> int:
        length = self._integer()
        if length < 0:
            raise RDataRefused("holds too long a vector")
        return length

    def _bounded(self, items: int) -> int:
        self._items += items
        if self._items > _MOST_ITEMS:
            raise RDataRefused("holds too many values")
        return items

    def _integer(self) -> int:
        number: int = struct.unpack(">i", self._take(4))[0]
        return number

    def _take(self, size: int) -> bytes:
        if size < 0 or self._at + size > len(self._content):
            raise RDataRefused("is damaged: it ends too early")
        self._at += size
        return self._content[self._at - size : self._at]
