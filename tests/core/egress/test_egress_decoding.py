"""Decoding bodies piece by piece."""

import gzip
import random
import zlib

import httpx
import pytest

from tasks.core.egress.decoding import Inflater, needs_decoding

BODY = random.Random(7).randbytes(5_000) + b"a" * 200_000


def bare(data: bytes) -> bytes:
    """Return ``data`` deflated without the zlib header."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


ENCODED = {
    "gzip": ("gzip", gzip.compress(BODY)),
    "old name": ("x-gzip", gzip.compress(BODY)),
    "upper case": ("GZIP", gzip.compress(BODY)),
    "two members": ("gzip", gzip.compress(BODY[:7_000]) + gzip.compress(BODY[7_000:])),
    "zlib": ("deflate", zlib.compress(BODY)),
    "bare deflate": ("deflate", bare(BODY)),
    "trailing rubbish": ("gzip", gzip.compress(BODY) + b"\0rubbish"),
}


@pytest.mark.parametrize(("encoding", "data"), ENCODED.values(), ids=ENCODED)
@pytest.mark.parametrize("step", [1, 1000, 10**6])
def test_body_is_decoded_however_it_arrives(encoding: str, data: bytes, step: int) -> None:
    """The network may cut a body anywhere."""
    inflater = Inflater(encoding)
    decoded = b"".join(
        piece for start in range(0, len(data), step) for piece in inflater.pieces(data[start : start + step])
    )
    assert decoded == BODY


def test_pieces_of_a_bomb_are_small() -> None:
    """A chunk that inflates a thousandfold is handed out in pieces that can be counted."""
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert max(len(piece) for piece in Inflater("gzip").pieces(bomb)) <= 64 * 1024


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br"])
def test_encoding_nobody_asked_for_is_an_error(encoding: str) -> None:
    """An encoding whose output cannot be bounded is not decoded at all."""
    with pytest.raises(httpx.DecodingError, match="not asked for"):
        list(Inflater(encoding).pieces(gzip.compress(BODY)))


def test_corrupt_body_is_an_error() -> None:
    """A body that is not what its header says does not pass for data."""
    with pytest.raises(httpx.DecodingError, match="not valid gzip"):
        list(Inflater("gzip").pieces(b"not gzip at all"))


@pytest.mark.parametrize("encoding", ["", "identity", "utf-8", "none"])
def test_words_that_are_no_coding_leave_the_body_alone(encoding: str) -> None:
    """Servers write all sorts of things there; browsers show the page."""
    assert not needs_decoding(encoding)
