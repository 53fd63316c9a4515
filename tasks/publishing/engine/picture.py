"""One picture, and copies of it in other widths and formats: the same bytes each time."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, ImageOps

# What is larger is no picture of a page; decoded it would fill the memory.
_MOST_PIXELS = 64_000_000
# Looked at here, before anything is decoded.
Image.MAX_IMAGE_PIXELS = None
DAMAGE = (OSError, SyntaxError, ValueError)
"""What Pillow raises on damage."""
_READ = ("JPEG", "PNG")
_SAVED = {"webp": {"method": 4}, "avif": {"speed": 7, "max_threads": 1, "autotiling": False}}
# Of a picture in other modes, such as CMYK, the colours would be guesses.
_MODES = {"1": "L", "L": "L", "LA": "RGBA", "P": "RGBA", "PA": "RGBA", "RGB": "RGB", "RGBA": "RGBA"}


def width_of(content: bytes) -> int | None:
    """Return the width as it is shown; None: it is no still picture that can be copied."""
    try:
        with _opened(content) as image:
            return None if image is None else image.width
    except DAMAGE:
        return None


def copied(content: bytes, width: int, format_: str, quality: int) -> bytes:
    """Return a copy, not wider than the picture itself; of what it says of itself only the colours' profile stays.

    Raises:
        DAMAGE: it cannot be read to its end.
    """
    with _opened(content) as image:
        assert image is not None  # noqa: S101  # `width_of` has seen it
        profile = image.info.get("icc_profile")
        height = max(1, round(image.height * width / image.width))
        plain = image.convert(_MODES[image.mode])
        small = plain if width >= plain.width else plain.resize((width, height), Image.Resampling.LANCZOS)
        out = io.BytesIO()
        more = {} if profile is None else {"icc_profile": profile}
        small.save(out, format_.upper(), quality=quality, exif=b"", **_SAVED[format_], **more)
        return out.getvalue()


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image | None]:
    """Yield the picture, turned as its camera says; None where it is animated, too large, or of another kind."""
    with Image.open(io.BytesIO(content), formats=_READ) as image:
        is_still = not getattr(image, "is_animated", False)
        if is_still and image.width * image.height <= _MOST_PIXELS and image.mode in _MODES:
            yield ImageOps.exif_transpose(image)
        else:
            yield None
