"""Undoing Content-Encoding in pieces of bounded size.

httpx decodes a whole network chunk at once: 64 KiB of gzip can become 64 MiB before anyone may count it. Here at most
one piece is in memory, and the caller counts each before asking for the next.

Source: RFC 9110, 8.4.1; RFC 1950, 1951, 1952.
"""

import zlib
from collections.abc import Iterator

import httpx

# What we ask servers for, and all that we decode: brotli and zstd decoders offer no bound on their output.
ACCEPTED_ENCODINGS = "gzip, deflate"

_PIECE_BYTES = 64 * 1024
_GZIP = frozenset({"gzip", "x-gzip"})
_REFUSED = frozenset({"br", "zstd", "compress", "x-compress", "dcb", "dcz"})
_GZIP_WINDOW_BITS = zlib.MAX_WBITS | 16
_BARE_WINDOW_BITS = -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f"  # the first of two bytes: the network may cut between them
_ZLIB_METHOD = 8


def needs_decoding(encoding: str) -> bool:
    """Return whether a body with this Content-Encoding header must go through an ``Inflater``.

    A word that names no coding at all (servers send ``utf-8``) means that nothing was done, as browsers hold it.
    """
    codings = _codings(encoding)
    return len(codings) > 1 or not (_GZIP | _REFUSED | {"deflate"}).isdisjoint(codings)


def _codings(encoding: str) -> list[str]:
    named = [coding.strip().lower() for coding in encoding.split(",")]
    return [coding for coding in named if coding not in {"", "identity"}]


class Inflater:
    """Decodes one gzip or deflate body."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._stream: zlib._Decompress | None = None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data``, the next part of the body, decodes to.

        Raises:
            httpx.DecodingError: the body is corrupt, or its coding is one we did not ask for.
        """
        try:
            while data and not self._is_over(data):
                if self._stream is None or self._stream.eof:
                    self._stream = zlib.decompressobj(self._window_bits(data))
                yield from _drain(self._stream, data)
                data = self._stream.unused_data
        except zlib.error as exc:
            raise httpx.DecodingError(f"The body is not valid {self._encoding}.") from exc

    def _is_over(self, data: bytes) -> bool:
        """Whether the stream has ended and ``data`` starts no further gzip member, so is ignored as browsers do."""
        return self._stream is not None and self._stream.eof and not data.startswith(_GZIP_MAGIC)

    def _window_bits(self, data: bytes) -> int:
        codings = _codings(self._encoding)
        if len(codings) != 1 or codings[0] in _REFUSED:
            raise httpx.DecodingError(f"The body is encoded as {self._encoding}, which was not asked for.")
        if codings[0] in _GZIP:
            return _GZIP_WINDOW_BITS
        # RFC 9110, 8.4.1.2: deflate means zlib, yet some servers send it bare; the low bits of a zlib header say which.
        return zlib.MAX_WBITS if data[0] & 0x0F == _ZLIB_METHOD else _BARE_WINDOW_BITS


def _drain(stream: "zlib._Decompress", data: bytes) -> Iterator[bytes]:
    while True:
        piece = stream.decompress(data, _PIECE_BYTES)
        if piece:
            yield piece
        data = stream.unconsumed_tail
        if stream.eof or (not data and len(piece) < _PIECE_BYTES):
            return
