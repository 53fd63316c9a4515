"""Recipes that run a generator on the source: MkDocs itself, shut in by the kernel; and code of strangers in there."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import psutil
import pytest

from tasks.core.egress import Egress
from tasks.core.errors import JobCancelled
from tasks.publishing.contract import SPECS, Stage
from tasks.publishing.engine.building import build as building
from tasks.publishing.engine.building import jail
from tasks.publishing.engine.building.build import BuildFailed, BuildLimits, BuildOverLimit, build
from tasks.publishing.engine.building.jail import IsolationUnavailable
from tasks.publishing.engine.child import Limits
from tasks.publishing.engine.intake import SourceRefused
from tasks.publishing.engine.names import NameRefused
from tasks.publishing.recipes import RECIPES, Recipe
from tests.fakes import FakeJob
from tests.publishing.bench import Bench
from tests.samples import eventually
from workers.preflight import find_capabilities

MKDOCS = {
    "mkdocs.yml": "site_name: Docs of ours\nuse_directory_urls: false\n",
    "docs/index.md": "# Hello\n\n[More](more.md)\n",
    "docs/more.md": "# More\n\nwords\n",
}
needs_jail = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap (Debian: bubblewrap)")


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@pytest.fixture
def job(tmp_path: Path) -> Iterator[FakeJob]:
    """A job with a folder."""
    (tmp_path / "work").mkdir()
    with Egress() as egress:
        yield FakeJob(tmp_path / "work", egress)


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another generator is one more entry: `python`, which runs the source's `make.py`."""
    entry = Recipe("Runs make.py.", command=("python", "-P", "make.py"), config=("make.py",))
    monkeypatch.setattr(building, "RECIPES", MappingProxyType({**RECIPES, "python": entry}))


def make(job: FakeJob, code: str, **limits: Any) -> dict[str, str]:
    """Build with this program as the source; return the site."""
    source = written(job.workdir / "site", {"make.py": code})
    tree = build("python", source, job.workdir / "made", inside="", job=job, limits=BuildLimits(**limits))
    return {path: file.read().decode() for path, file in tree.items()}


def own_processes() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children(recursive=True) if child.name() in ("bwrap", "sleep", "python3.11")
    ]


@needs_jail
def test_mkdocs_makes_a_site_that_goes_live(bench: Bench) -> None:
    """Its log is told line by line in the stage ``building``; what it made is checked, and the rest stays behind."""
    job = bench.job()
    result = bench.publish({**MKDOCS, "docs/.git/config": "x"}, job, recipe="mkdocs")
    assert (0, "mkdocs", None) == (result.faults.get("broken_link", 0), result.recipe, result.commit)
    tree = bench.tree()
    assert b"Hello" in tree["index.html"]
    assert {"more.html", "search/search_index.json"} <= tree.keys()
    assert not {path for path in tree if path.endswith(".md") or ".git/" in path}
    assert any("Documentation built" in line for line in job.lines)
    shown = [report.message for report in job.reports if report.stage == Stage.BUILDING]
    assert any("Building documentation" in message for message in shown)
    assert [*Stage][1:] == list(result.stages)
    assert result.stages[Stage.BUILDING] > 0
    assert result.release == bench.publish(MKDOCS, recipe="mkdocs").release, "the same source is the same release"


@needs_jail
def test_a_recipe_is_used_in_a_subfolder(bench: Bench) -> None:
    """And a copy is of the subfolder alone."""
    files = {f"web/{path}": text for path, text in MKDOCS.items()} | {"site/index.html": "<p>plain</p>"}
    bench.publish(files, recipe="mkdocs", subfolder="web")
    assert "more.html" in bench.tree()
    bench.publish(files | {"other.html": "x"}, subfolder="site")
    assert {"index.html"} == {path for path in bench.tree() if path.endswith(("index.html", "other.html"))}
    for request in ({"recipe": "mkdocs"}, {"recipe": "mkdocs", "subfolder": "gone"}, {"subfolder": "gone"}):
        with pytest.raises(SourceRefused) as refused:
            bench.publish(files, **request)
        assert "subfolder" == refused.value.field


@needs_jail
def test_a_failing_build_says_what_it_printed_at_last(bench: Bench) -> None:
    """And changes nothing that is live."""
    bench.publish(MKDOCS, recipe="mkdocs")
    before = bench.tree()
    with pytest.raises(BuildFailed, match=r"(?s)status 1.*docs_dir") as failed:
        bench.publish({**MKDOCS, "mkdocs.yml": "site_name: x\ndocs_dir: gone\n"}, recipe="mkdocs")
    assert "recipe" == failed.value.field
    assert before == bench.tree()


@needs_jail
def test_hooks_of_a_source_see_nothing_of_the_machine(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, not even loopback of ours; no other file; no variable; no privilege; nothing to write to but /out."""
    monkeypatch.setenv("SWITCHYARD_SECRET_KEY", "never-shown")
    with socket.create_server(("127.0.0.1", 0)) as ours:
        hook = HOOK.format(port=ours.getsockname()[1], ours=str(Path(__file__).parent), home=str(Path.home()))
        files = {**MKDOCS, "mkdocs.yml": MKDOCS["mkdocs.yml"] + "hooks: [hook.py]\n", "hook.py": hook}
        job = bench.job()
        bench.publish(files, job, recipe="mkdocs")
    (told,) = [line for line in job.lines if "TOLD" in line]
    found = dict(word.split("=", 1) for word in told.split("TOLD ")[1].split("|"))
    assert {
        "net": "no", "loopback": "no", "dns": "no", "ours": "no", "home": "no", "state": "no", "secret": "no",
        "write": "no", "source": "no", "sysctl": "no", "uid": "65534", "caps": "0000000000000000", "kill": "no",
        "env": "HOME,LANG,PATH,PWD,PYTHONDONTWRITEBYTECODE,PYTHONUNBUFFERED,TMPDIR", "first": "no", "mount": "no",
    } == found  # fmt: skip


HOOK = """
import ctypes, os, signal, socket

def can(do):
    try:
        do()
    except (OSError, ValueError):
        return "no"
    return "yes"

def connect(address):
    socket.create_connection(address, timeout=2).close()

def mount():
    if ctypes.CDLL(None).mount(b"none", b"/tmp", b"tmpfs", 0, None):
        raise OSError("mount")

def on_config(config):
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    told = {{
        "net": can(lambda: connect(("1.1.1.1", 443))),
        "loopback": can(lambda: connect(("127.0.0.1", {port}))),
        "dns": can(lambda: socket.getaddrinfo("example.org", 443)),
        "ours": can(lambda: os.listdir("{ours}")),
        "home": can(lambda: os.listdir("{home}/.ssh") or os.listdir("{home}/.config")),
        "state": can(lambda: open("/etc/passwd")),
        "secret": "yes" if any("never-shown" in value for value in os.environ.values()) else "no",
        "write": can(lambda: open("/usr/x", "w")),
        "source": can(lambda: open("/source/x", "w")),
        "sysctl": can(lambda: open("/proc/sys/kernel/core_pattern", "w")),
        "uid": str(os.getuid()),
        "caps": status["CapEff"].strip(),
        "kill": can(lambda: [os.kill(int(pid), 0) for pid in os.listdir("/proc") if pid.isdecimal() and int(pid) > 500]
            or can_not()),
        "env": ",".join(sorted(os.environ)),
        "first": "yes" if b"never-shown" in first() else "no",
        "mount": can(mount),
    }}
    print("TOLD " + "|".join(f"{{name}}={{value}}" for name, value in told.items()))

def can_not():
    raise OSError("no other process is seen")

def first():
    try:
        return open("/proc/1/environ", "rb").read()
    except OSError:
        return b""
"""


@needs_jail
@pytest.mark.parametrize(
    ("code", "limits", "words"),
    [
        ("import time; time.sleep(60)", {"seconds": 1}, "not done after 1 s"),
        ("while True: pass", {"seconds": 1}, "not done after 1 s"),
        ("x = [bytearray(2**20) for _ in range(2**12)]", {"memory_bytes": 2**28}, "status 1|of memory"),
        (
            "import os, time\nfor _ in range(4): os.fork()\nx = bytearray(os.urandom(1)) * 2**26\ntime.sleep(60)",
            {"memory_bytes": 2**28},
            "of memory",
        ),
        (
            "import os, time\ntry:\n    for _ in range(2000):\n        if not os.fork(): time.sleep(60)\n"
            "except OSError as exc: raise SystemExit(f'fork {exc}')",
            {"processes": 60},
            "fork",
        ),
        ("open('/out/a', 'wb').write(bytes(2**22))", {"file_bytes": 2**20}, "File too large|signal 25"),
        (
            "for n in range(99): open(f'/out/{n}', 'wb').write(bytes(2**20))\nimport time; time.sleep(60)",
            {"out_bytes": 2**23},
            "made over 8,388,608 bytes",
        ),
        (
            "for n in range(99): open(f'/out/{n}', 'w')\nimport time; time.sleep(60)",
            {"out_files": 20},
            "made over 20 files",
        ),
        ("import os\nos.chdir('/out')\nfor _ in range(2000): os.mkdir('a') or os.chdir('a')", {}, "deep"),
        ("open('/tmp/x', 'wb').write(bytes(2**29))", {}, "No space left"),
        ("open('/dev/shm/x', 'wb').write(bytes(2**29))", {}, "No space left"),
        ("print('nothing')", {}, "made no file"),
        ("import os; os.symlink('/etc/passwd', '/out/a')", {}, "link"),
        ("import os; os.symlink('/', '/out/a')", {}, "link"),
        ("import os; os.kill(os.getpid(), 9)", {}, "signal 9"),
    ],
)  # fmt: skip
def test_a_build_that_takes_too_much_is_ended(
    job: FakeJob, python: None, code: str, limits: dict[str, Any], words: str
) -> None:
    """By name, and nothing of it is left."""
    with pytest.raises((BuildFailed, BuildOverLimit), match=words):
        make(job, code, **limits)
    assert [] == own_processes()
    assert not (job.workdir / "built").exists()


@needs_jail
def test_names_that_a_build_makes_are_those_of_any_source(job: FakeJob, python: None) -> None:
    """Clashes and pipes are refused; a folder of git's stays out."""
    for code, error in (
        ("open('/out/a', 'w'); open('/out/A', 'w')", NameRefused),
        ("import os; os.mkfifo('/out/pipe')", SourceRefused),
    ):
        with pytest.raises(error):
            make(job, code)
    code = "import os; os.mkdir('/out/.git'); open('/out/.git/x', 'w'); open('/out/a.html', 'w').write('a')"
    shutil.rmtree(job.workdir / "made", ignore_errors=True)
    assert {"a.html": "a"} == make(job, code)


@needs_jail
def test_what_is_printed_is_cut_and_shown_plainly(job: FakeJob, python: None) -> None:
    """Without orders to a terminal, lines and log of a limited length."""
    code = (
        "import sys\nprint('\\x1b[31mred\\x1b[0m \\x07bell')\nsys.stdout.buffer.write(b'\\xff bad\\n')\n"
        "print('y' * 100_000)\nfor n in range(5000): print('line', n)\nopen('/out/a', 'w')"
    )
    make(job, code, log_bytes=20_000)
    assert "info red \ufffdbell" in job.lines
    assert "info \ufffd bad" in job.lines
    assert max(map(len, job.lines)) < 5000
    assert sum(map(len, job.lines)) < 40_000
    assert "the rest is left out" in job.lines[-1]


@needs_jail
def test_cancelled_it_leaves_no_process(job: FakeJob, python: None) -> None:
    """Not even one that made itself a session of its own."""
    timer = threading.Timer(1, lambda: setattr(job, "is_cancelled", True))
    timer.start()
    with pytest.raises(JobCancelled):
        make(job, "import os, time\nif not os.fork():\n    os.setsid()\n    os.fork()\nprint('up')\ntime.sleep(60)")
    timer.join()
    assert "info up" in job.lines
    assert [] == own_processes()


@needs_jail
def test_killed_with_its_worker_it_leaves_no_process(tmp_path: Path) -> None:
    """By ``kill -9`` of the process that started it, which nobody can answer."""
    program = (
        "import sys, pathlib\n"
        "from tests.publishing import test_building as here\nfrom tests.fakes import FakeJob\n"
        "from tasks.publishing.engine.building import build as building\nfrom tasks.publishing.recipes import Recipe\n"
        "building.RECIPES = {'python': Recipe('', command=('python', 'make.py'))}\n"
        "job = FakeJob(pathlib.Path(sys.argv[1]), None)\n"
        "here.make(job, 'import os, time\\nif not os.fork(): os.setsid()\\nprint(1)\\ntime.sleep(333.25)')\n"
    )
    repository = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=repository) as process:
        assert eventually(lambda: len(_below(process.pid)) >= 4, within_s=30)
        below = _below(process.pid)
        process.kill()
    assert eventually(lambda: not any(one.is_running() for one in below), within_s=10)


def _below(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


def test_where_the_kernel_refuses_nothing_is_run(
    job: FakeJob, python: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor without bubblewrap; the recipe is named, and so is the remedy."""
    monkeypatch.setattr(jail, "_PATH", str(tmp_path))
    with pytest.raises(IsolationUnavailable, match=r"'python'.*bwrap.*Nothing was run"):
        make(job, "open('/out/a', 'w')")
    monkeypatch.undo()


@needs_jail
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take a right away from its children")
def test_without_the_right_to_make_namespaces_nothing_is_run(tmp_path: Path) -> None:
    """As in a container that has no rights; here the kernel itself says no."""
    program = (
        "import sys, pathlib\nfrom tests.publishing import test_building as here\nfrom tests.fakes import FakeJob\n"
        "from tasks.publishing.engine.building import build as building\nfrom tasks.publishing.recipes import Recipe\n"
        "building.RECIPES = {'python': Recipe('', command=('python', 'make.py'))}\n"
        'try:\n    here.make(FakeJob(pathlib.Path(sys.argv[1]), None), \'open("/out/a", "w")\')\n'
        "except building.BuildFailed as exc:\n    print('RUN', exc)\n"
        "except here.IsolationUnavailable as exc:\n    print('REFUSED', exc.code, exc)\n"
    )
    without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"]
    done = subprocess.run(
        [*without, sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.startswith("REFUSED isolation_unavailable"), done.stdout + done.stderr
    assert "bwrap" in done.stdout


@needs_jail
@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as another user then")
def test_another_user_than_root_is_shut_in_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a namespace of users, in which it is nobody."""
    # The Python of the tests may lie where only root can look.
    monkeypatch.setattr(jail, "sys", SimpleNamespace(prefix="/usr", base_prefix="/usr"))
    with tempfile.TemporaryDirectory(prefix="jail-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        _as_another_user(Path(folder))


def _as_another_user(folder: Path) -> None:
    source, out = written(folder / "source", {"a": "source\n"}), folder / "out"
    out.mkdir()
    shut = jail.Jail(source, out, is_root=False)
    command = shut.command(["/bin/sh", "-c", "id -u; cat a; echo x >b; echo y >/out/c; ls /home /etc"], Limits())
    os.chown(out, 12345, 12345)
    as_other = ["setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", "--", *command]
    done = subprocess.run(as_other, capture_output=True, text=True, check=False)
    assert done.stdout.split()[:2] == ["65534", "source"], done.stderr
    assert "Read-only file system" in done.stderr
    assert "y\n" == (out / "c").read_text()


def test_each_recipe_s_generator_can_be_found_by_workers() -> None:
    """A job waits for a worker that has it."""
    spec = SPECS[0]
    for name, recipe in RECIPES.items():
        needed = spec.needs({"recipe": name}) - spec.capabilities
        assert {recipe.capability} - {None} == needed
    assert "mkdocs" in find_capabilities()
