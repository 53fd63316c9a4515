"""A site after optimising: smaller, its assets named by their content, and every reference still leading to them."""

import gzip
from pathlib import Path

import brotli  # type: ignore[import-untyped]  # no types upstream
import pytest

from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.optimising import Options, optimise
from tasks.publishing.engine.pages import pages_of
from tasks.publishing.engine.references import in_page, in_style, local_path
from tasks.publishing.engine.tree import Tree
from tasks.publishing.manifest import IMMUTABLE, REVALIDATED, Manifest

PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><link rel="stylesheet" href="css/main.css?v=1"><title>Shop</title></head>
<body>
  <!-- a remark -->
  <h1>Shop</h1>   <p>Words   and words</p>
  <img src="/img/logo.svg#part" srcset="img/small.png 1x, img/big.png 2x" alt="">
  <a href="about.html">About</a>
  <script src="js/app.js"></script><script type="module" src="js/mod.js"></script>
  <script src="js/checked.js" integrity="sha384-abc"></script>
</body></html>
"""
FILES = {
    "index.html": PAGE.encode(),
    "about.html": b'<!DOCTYPE html><html><head></head><body><a href="index.html">Home</a></body></html>',
    "css/main.css": b'@import "more.css";\n/* c */ a { background: url("../img/small.png") ; }\n'
    + b"b { top : 0 }\n" * 40,
    "css/more.css": b"@font-face { font-family: x; src: url(../f.woff2) }",
    "js/app.js": b"// remark\nvar   a = 1;\nfetch('data.json')\n",
    "js/mod.js": b"import './part.js'\n",
    "js/part.js": b"// part\nexport const x = 1\n",
    "js/checked.js": b"// must stay\nvar   b = 2;\n",
    "js/data.json": b"{}",
    "img/logo.svg": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "img/small.png": b"\x89PNG small",
    "img/big.png": b"\x89PNG big",
    "f.woff2": b"font",
    "latin.html": "<html><body>Gr\u00fc\u00dfe <img src='img/big.png'></body></html>".encode("latin-1"),
}


def made(tmp_path: Path, files: dict[str, bytes], options: Options | None = None) -> tuple[Manifest, dict[str, bytes]]:
    folder, out = tmp_path / "site", tmp_path / "out"
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    out.mkdir()
    reports: list[tuple[int, int]] = []
    tree, memo = Tree.of_folder(folder), Memo(tmp_path / "memo")
    made = optimise(
        tree,
        pages_of(tree, memo),
        out,
        options or Options(),
        memo=memo,
        has=lambda _: False,
        checkpoint=lambda: None,
        report=lambda done, of: reports.append((done, of)),
    )
    assert reports[-1] == (len(files), len(files))
    contents = {path: made.where[file.content].read_bytes() for path, file in made.manifest.files.items()}
    assert all(made.content(path) == content for path, content in contents.items())
    return made.manifest, contents


def reached(contents: dict[str, bytes], page: str) -> dict[str, str | None]:
    """What a page and its style sheets refer to: the URL, and which file it is."""
    found = {one.url: local_path(one.url, page=page) for one in in_page(contents[page].decode())}
    for style in [path for path in found.values() if path and path.endswith(".css")]:
        found |= {url: local_path(url, page=style) for url in in_style(contents[style].decode())}
    return found


def test_every_reference_still_leads_to_its_file(tmp_path: Path) -> None:
    manifest, contents = made(tmp_path, FILES)
    found = reached(contents, "index.html")
    assert len(found) == 10
    assert {path for path in found.values() if path not in contents} == set()
    immutable = {path for path in found.values() if path and manifest.files[path].cache_control == IMMUTABLE}
    assert len(immutable) == 7  # two style sheets, three images, two classic scripts
    assert all(contents[path] for path in immutable)


def test_assets_stay_under_their_own_names(tmp_path: Path) -> None:
    manifest, contents = made(tmp_path, FILES)
    assert FILES.keys() <= contents.keys()
    assert manifest.files["css/main.css"].cache_control == REVALIDATED
    assert contents["js/part.js"] != FILES["js/part.js"]  # minified, and not renamed: modules are known by their URLs
    assert not [path for path in contents if path.startswith("js/part.") and path != "js/part.js"]


def test_a_change_changes_the_names_of_all_that_depends_on_it(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    _, before = made(tmp_path / "one", FILES)
    _, after = made(tmp_path / "other", FILES | {"f.woff2": b"another font"})
    changed = after.keys() - before.keys()
    assert {path.partition(".")[0] for path in changed} == {"f", "css/more", "css/main"}
    assert after["about.html"] == before["about.html"]


def test_what_is_checked_or_not_understood_stays_as_it_is(tmp_path: Path) -> None:
    _, contents = made(tmp_path, FILES)
    assert contents["js/checked.js"] == FILES["js/checked.js"]
    assert contents["latin.html"] == FILES["latin.html"]
    assert contents["img/big.png"] == FILES["img/big.png"]


def test_pages_and_scripts_get_smaller(tmp_path: Path) -> None:
    _, contents = made(tmp_path, FILES, Options(fingerprint=False))
    for path in ("index.html", "css/main.css", "js/app.js"):
        assert len(contents[path]) < len(FILES[path])
    assert b"a remark" not in contents["index.html"]
    assert b"Words and words" in contents["index.html"]


def test_compressed_copies_are_the_same_content(tmp_path: Path) -> None:
    folder, out = tmp_path / "site", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    (folder / "a.txt").write_bytes(b"words " * 1000)
    (folder / "b.txt").write_bytes(b"short")
    (folder / "c.png").write_bytes(b"\x89PNG" * 1000)
    release = optimise(
        Tree.of_folder(folder),
        {},
        out,
        Options(),
        memo=Memo(tmp_path / "memo"),
        has=lambda _: False,
        checkpoint=lambda: None,
        report=lambda *_: None,
    )
    manifest, where = release.manifest, release.where
    encodings = manifest.files["a.txt"].encodings
    assert brotli.decompress(where[encodings["br"]].read_bytes()) == b"words " * 1000
    assert gzip.decompress(where[encodings["gzip"]].read_bytes()) == b"words " * 1000
    assert not manifest.files["b.txt"].encodings
    assert not manifest.files["c.png"].encodings


def test_the_same_site_is_the_same_release(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    assert made(tmp_path / "one", FILES)[0].release == made(tmp_path / "other", FILES)[0].release


def test_style_sheets_in_a_circle_keep_their_names(tmp_path: Path) -> None:
    files = {
        "index.html": b'<link rel="stylesheet" href="a.css"><link rel="stylesheet" href="c.css">',
        "a.css": b"@import 'b.css';",
        "b.css": b"@import 'a.css';",
        "c.css": b"@import 'a.css'; b{top:0}",
    }
    _, contents = made(tmp_path, files)
    assert {path for path in contents if path.startswith(("a.", "b."))} == {"a.css", "b.css"}
    assert all(path in contents for path in reached(contents, "index.html").values())


@pytest.mark.parametrize("options", [Options(minify=False, fingerprint=False, compress=False)])
def test_plain_copy_changes_nothing(tmp_path: Path, options: Options) -> None:
    manifest, contents = made(tmp_path, FILES, options)
    assert contents == FILES
    assert not any(file.encodings for file in manifest.files.values())
