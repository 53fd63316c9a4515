"""Smaller copies of pictures, and the markup that offers them."""

import io
from pathlib import Path

import pytest
from PIL import Image

from tasks.publishing.contract import ImageOptions
from tasks.publishing.engine.images import offered
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import pages_of
from tasks.publishing.engine.references import in_page, local_path
from tasks.publishing.engine.tree import Tree, of_bytes
from tests.publishing.bench import PAGE, SITE, Bench

OPTIONS = ImageOptions(widths=(100, 200, 5000))


def a_picture(width: int = 300, height: int = 200, format_: str = "JPEG", mode: str = "RGB", **more: object) -> bytes:
    """Something with details, which no format makes nothing of."""
    noise = Image.effect_noise((width, height), 60).convert(mode)
    out = io.BytesIO()
    noise.save(out, format_, **more)
    return out.getvalue()


def made(tmp_path: Path, files: dict[str, bytes], options: ImageOptions = OPTIONS) -> dict[str, bytes]:
    tree, memo = Tree({path: of_bytes(content) for path, content in files.items()}), Memo(tmp_path / "memo")
    new, count = offered(tree, pages_of(tree, memo), options, memo=memo, checkpoint=lambda: None)
    assert count == len(new) - len(tree)
    assert all(file.size == len(file.read()) for file in new.values())
    return {path: file.read() for path, file in new.items()}


def test_pages_offer_copies_and_keep_the_picture(tmp_path: Path) -> None:
    """In each width below its own and in its own, in each format; named from where the page is."""
    page = b"<!DOCTYPE html><p><img class=x src='../img/a b.jpg' width=80 alt=A></p>"
    files = {"sub/index.html": page, "img/a b.jpg": a_picture(quality=95)}
    found = made(tmp_path, files)
    assert files["img/a b.jpg"] == found["img/a b.jpg"]
    text = found["sub/index.html"].decode()
    assert text.startswith('<!DOCTYPE html><p><picture><source type="image/avif" srcset=')
    assert text.endswith("<img class=x src='../img/a b.jpg' width=80 alt=A></picture></p>")
    assert text.count('sizes="(max-width: 80px) 100vw, 80px"') == 2
    assert "../img/a%20b.jpg-100w.avif 100w, " in text
    named = {local_path(one.url, page="sub/index.html") for one in in_page(text)}
    copies = found.keys() - files.keys()
    assert {"img/a b.jpg"} | copies == named
    assert 6 == len(copies)
    for path in copies:
        with Image.open(io.BytesIO(found[path])) as image:
            assert f"{image.width}w.{(image.format or '').lower()}" == path.rpartition("-")[2]
            assert abs(image.height - image.width * 2 / 3) < 1


def test_the_same_picture_is_the_same_bytes(tmp_path: Path) -> None:
    """Also where nothing is remembered of it."""
    files = {"index.html": b"<p><img src=a.png>", "a.png": a_picture(mode="RGBA", format_="PNG")}
    assert made(tmp_path / "one", files) == made(tmp_path / "other", files) == made(tmp_path / "one", files)


def test_a_picture_is_turned_as_its_camera_says(tmp_path: Path) -> None:
    """A copy does not say it any more; nor who took it where."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"
    files = {"index.html": b"<p><img src=a.jpg>", "a.jpg": a_picture(300, 200, quality=95, exif=exif)}
    found = made(tmp_path, files)
    with Image.open(io.BytesIO(found["a.jpg-100w.webp"])) as image:
        assert (100, 150) == image.size
    assert not any(b"at home" in content for path, content in found.items() if path != "a.jpg")


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ("<img src=a.jpg srcset='b.jpg 2x'>", {"a.jpg": a_picture()}),
        ("<picture><source srcset=x.webp><img src=a.jpg></picture>", {"a.jpg": a_picture()}),
        ("<img src=https://elsewhere.example/a.jpg>", {"a.jpg": a_picture()}),
        ("<!-- <img src=a.jpg> --><script>'<img src=a.jpg>'</script>", {"a.jpg": a_picture()}),
        ("<img src=a.jpg>", {"a.jpg": a_picture()[:5000]}),
        ("<img src=a.jpg>", {"a.jpg": b"no picture" * 1000}),
        ("<img src=a.jpg>", {"a.jpg": a_picture(mode="CMYK")}),
        ("<img src=a.jpg>", {"a.jpg": a_picture(20, 20)}),
        ("<img src=a.gif>", {"a.gif": a_picture(format_="GIF", mode="L")}),
        ("<img src=a.jpg>", {"a.jpg": a_picture(), "a.jpg-100w.webp": b"its own"}),
        ("<img alt=none>", {}),
    ],
)
def test_what_offers_more_or_cannot_be_copied_stays(tmp_path: Path, page: str, files: dict[str, bytes]) -> None:
    whole = {"index.html": f"<p>{page}".encode(), **files}
    assert whole == made(tmp_path, whole)


def test_only_what_saves_something_is_kept(tmp_path: Path) -> None:
    """A copy that is larger than the picture is none."""
    tiny = a_picture(400, 400, quality=5)
    found = made(tmp_path, {"index.html": b"<p><img src=a.jpg>", "a.jpg": tiny}, ImageOptions(quality=100))
    assert all(len(content) < len(tiny) for path, content in found.items() if path.startswith("a.jpg-"))


def test_a_site_is_published_with_copies_that_have_names_of_their_content(bench: Bench) -> None:
    """The same again is the same release, and encodes nothing."""
    site = SITE | {"index.html": PAGE.format('First <img src="a.jpg">'), "a.jpg": a_picture(quality=95)}
    options = {"images": OPTIONS.model_dump(mode="json")}
    first = bench.publish(site, options=options)
    tree = bench.tree()
    assert 6 == first.image_copies
    offered_ = {one.url for one in in_page(tree["index.html"].decode()) if one.is_in_srcset}
    assert 6 == len(offered_ & tree.keys())
    assert all("." in url.partition("w.")[2] for url in offered_), "a hash stands before the ending"
    again = bench.publish(site, options=options)
    assert (first.release, 0) == (again.release, again.uploaded_files)
    assert 0 == bench.publish(site).image_copies
