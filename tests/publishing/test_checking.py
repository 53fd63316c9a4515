"""What is found in a site's files: what is not there, what is no page, and what nobody should see."""

from pathlib import Path

import pytest

from tasks.publishing.contract import Fault, PageBudget
from tasks.publishing.engine.checking import check
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.pages import pages_of
from tasks.publishing.engine.tree import Tree, kept_in
from tasks.publishing.engine.weighing import Weight, over_budget, weigh
from tasks.publishing.manifest import REVALIDATED, File, Manifest, Stored, media_type_of

KEY = "-----BEGIN {0}PRIVATE KEY-----\n{1}\n-----END {0}PRIVATE KEY-----\n"
BODY = "\n".join(["MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ" + "A" * 14] * 3)


def found(folder: Path, files: dict[str, str | bytes], *, prefix: str = "/") -> list[tuple[Fault, str]]:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    tree = Tree({path: kept_in(folder / path) for path in files})
    memo = Memo(folder / ".memo")
    pages = pages_of(tree, memo)
    findings = check(tree, pages, prefix=prefix, max_file_bytes=10_000, memo=memo, checkpoint=lambda: None)
    return [(one.fault, one.path) for one in findings]


@pytest.mark.parametrize(
    "text",
    [
        KEY.format("", BODY),
        KEY.format("RSA ", "Proc-Type: 4,ENCRYPTED\n" + BODY),
        KEY.format("OPENSSH ", BODY),
        "aws_access_key_id = AKIA" + "Z7Q3X5W9P1K2M4N6",
        "token: ghp_" + "a1B2" * 9,
        "glpat-" + "abcde12345" * 2,
        "xoxb-" + "1234567890-abcdefghij1234567890",
        "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
        '{"private_key": "' + KEY.format("", BODY).replace("\n", "\\n") + '"}',
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n" + BODY,
        "https://hooks.slack.com/services/" + "T0A1B2C3D/B0A1B2C3D/" + "a1B2c3D4" * 3,
        "sk-ant-" + "api03-" + "aB3_" * 22,
        "sk-proj-" + "aB3_" * 6 + "T3BlbkFJ" + "aB3_" * 6,
        "npm_" + "a1B2" * 9,
        "pypi-AgEI" + "cHlwaS5vcmc" * 6,
        "SG." + "a1" * 11 + "." + "b2" * 21 + "c",
        "GOCSPX-" + "a1B2" * 7,
        "dop_v1_" + "0a1b2c3d" * 8,
        "hvs." + "aB3_" * 25,
        "SWITCHYARD_API_KEY=sy_" + "aB3" * 14 + "c",
    ],
)
def test_a_secret_is_found_wherever_it_is(tmp_path: Path, text: str) -> None:
    """In a page or in any other file."""
    for name in ("index.html", "notes.txt"):
        assert (Fault.SECRET, name) in found(tmp_path, {name: f"<p>\n{text}\n</p>"})


@pytest.mark.parametrize(
    "text",
    [
        KEY.format("", "... (private key in base64 encoding) ..."),
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_short",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "sk-ant-api03-your-key",
        "npm_config_registry",
        "MSG.id and SG.x.y",
        "https://hooks.slack.com/services/T.../B.../...",
    ],
)
def test_what_documentation_shows_is_no_secret(tmp_path: Path, text: str) -> None:
    """Frames of keys, and keys that their makers invented."""
    assert [] == found(tmp_path, {"index.html": f"<p>\n{text}\n</p>"})


def test_names_that_are_never_meant_for_visitors_are_found(tmp_path: Path) -> None:
    """Whatever they hold."""
    names = (".aws/credentials", ".env.production", "Store.P12", "id_rsa", "sub/.env", "wp-config.php")
    assert [(Fault.SECRET, name) for name in names] == found(tmp_path, dict.fromkeys(names, ""))
    shown = (".env.example", "ssh/index.md", "environment.env.html.txt")
    assert [] == found(tmp_path, dict.fromkeys(shown, ""))


def test_links_resolve_as_a_web_server_would(tmp_path: Path) -> None:
    """A folder by its index, with or without a slash; other sites, fragments and schemes are left alone."""
    good = "sub/ sub ./#here mailto:a@b.c https://other.example/x //other.example/x #top ?q=1 /sub/index.html"
    links = "".join(f'<a href="{url}">x</a>' for url in good.split())
    files = {"index.html": f"<p>{links}</p>", "sub/index.html": '<p><a href="../">up</a></p>'}
    assert [] == found(tmp_path, files)
    bad = {"index.html": '<a href="/gone">x</a><a href="gone">y</a><script src="x.js"></script>'}
    assert [(Fault.BROKEN_LINK, "index.html"), (Fault.MISSING_ASSET, "index.html")] == found(tmp_path, bad)


def test_a_site_below_a_path_is_checked_below_it(tmp_path: Path) -> None:
    """What leads out of it is another site's."""
    page = '<a href="/docs/gone.html">x</a><a href="/docs/index.html">y</a><a href="/elsewhere">z</a>'
    assert [(Fault.BROKEN_LINK, "index.html")] == found(tmp_path, {"index.html": page}, prefix="/docs/")


def test_what_is_no_page_or_too_large_is_found(tmp_path: Path) -> None:
    """Text that is called HTML, an encoding that is not told, a file over the limit."""
    files: dict[str, str | bytes] = {
        "plain.html": "no element",
        "latin.html": "<p>caf\xe9</p>".encode("latin-1"),
        "told.html": '<meta charset="iso-8859-1"><p>caf\xe9</p>'.encode("latin-1"),
        "large.txt": "x" * 10_001,
    }
    expected = [(Fault.TOO_LARGE, "large.txt"), (Fault.BAD_HTML, "latin.html"), (Fault.BAD_HTML, "plain.html")]
    assert expected == found(tmp_path, files)


def test_a_page_weighs_what_it_loads_each_once() -> None:
    """With what its style sheets refer to, in the smallest form; links to pages do not count."""
    texts = {
        "index.html": '<link rel="stylesheet" href="a.css"><img src="p.png"><img src="p.png"><a href="b.html">b</a>',
        "a.css": '@import "c.css"; p { background: url(p.png) }',
        "c.css": "p{}",
        "p.png": "png",
        "b.html": "<p>",
    }
    files = {path: File(Stored("", len(text)), "", REVALIDATED) for path, text in texts.items()}
    files["c.css"] = File(Stored("", 100), "", REVALIDATED, {"br": Stored("", 5)})
    weight = weigh("index.html", files, lambda path: texts[path].encode())
    assert Weight(4, len(texts["index.html"]) + len(texts["a.css"]) + 5 + 3) == weight


def test_a_page_keeps_to_its_budget_by_kind_of_file() -> None:
    """Bytes and requests of each kind, and in total; every budget whose pages it is one of holds."""
    texts = {
        "blog/a.html": '<link rel="stylesheet" href="a.css"><img src="p.png"><img src="q.png">'
        '<script src="s.js"></script>',
        "blog/a.css": "@font-face { src: url(f.woff2) }",
        **{f"blog/{name}": "x" * 10 for name in ("p.png", "q.png", "s.js", "f.woff2")},
        "index.html": "<p>",
    }
    files = {path: File(Stored("", len(text)), media_type_of(path), REVALIDATED) for path, text in texts.items()}

    def over(*budgets: dict[str, object]) -> list[tuple[str, str]]:
        made = [PageBudget.model_validate(one) for one in budgets]
        pages = [path for path in texts if path.endswith(".html")]
        found = over_budget(Manifest(files), pages, lambda path: texts[path].encode(), made)
        assert {Fault.OVER_BUDGET} >= {one.fault for one in found}
        return [(one.path, one.message) for one in found]

    assert [] == over({"bytes": {"image": 20, "script": 10, "font": 10}, "requests": {"image": 2, "total": 6}})
    assert [("blog/a.html", "20 bytes of image, over 19."), ("blog/a.html", "6 requests for total, over 5.")] == over(
        {"bytes": {"image": 19}}, {"pages": "blog/*", "requests": {"total": 5}}, {"pages": "x", "bytes": {"html": 0}}
    )
    assert ["blog/a.html", "index.html"] == [path for path, _ in over({"bytes": {"html": 2}})]
    assert [("blog/a.html", "1 requests for font, over 0.")] == over({"requests": {"font": 0}})
