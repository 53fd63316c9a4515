"""What discovery finds of the tools that a person would want, whether what it publishes works, and how long it takes.

``python -m bench.discovery [--data DIR] [--json] [--fit] [--target NAME ...] [--kept DIR] [--jobs N]``

The targets are real programs, started here (``tests/acceptance/targets``), each with a list of wanted tools that was
written before the first run. Each is discovered as a stranger and, where it has an account, signed in. Published tools
that read are then run once more, by a fresh runner: one that does not answer with success is failing.
Confidence is judged by weights that saw nothing of the target (``brier``), on the tools that a person has judged
(``tests/acceptance/targets/judged``). ``--data DIR`` takes the labelled pages for that from ``DIR/forms`` and
``DIR/pagination``; ``--fit`` fits the shipped weights on everything and writes them. ``--kept DIR`` keeps what each
target gave and takes it from there the next time. Times are of two local sites of ten pages with a warm browser:
``p50_s`` and ``p95_s`` of plain pages, ``shop_p50_s`` and ``shop_p95_s`` of a shop with scripts.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench import discovery_fit as fitting
from bench.discovery_targets import Found, as_request, find
from bench.discovery_times import measure
from bench.forms import DEVELOPMENT
from tasks.discovery.engine import confidence
from tests.acceptance.targets.starting import NAMES

_WEIGHTS = Path(confidence.__file__).with_name("confidence.json")


def kept_or_found(name: str, folder: Path | None) -> Found:
    """Return what a target gives, from an earlier run where there is one."""
    path = folder / f"{name}.json" if folder else None
    if path is not None and path.is_file():
        return Found.from_json(name, path.read_text(encoding="utf-8"))
    found = find(name)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found.to_json(), encoding="utf-8")
    return found


def labelled_rows(data: Path) -> list[fitting.Row]:
    """Return what the folders ``forms`` and ``pagination`` of labelled pages give; none without them."""
    return [*fitting.page_rows(data / "forms"), *fitting.list_rows(data / "pagination")]


def figures(found: list[Found], *, data: Path) -> dict[str, Any]:
    """Return the counts, and how good the confidences are."""
    on_targets, on_pages = fitting.target_rows(found), labelled_rows(data)
    rows = [*on_targets, *on_pages]
    answers = fitting.cross_validated(rows)
    judged = fitting.judge(on_targets, answers[: len(on_targets)])
    return {
        "targets": len(found),
        "wanted": sum(len(one.wanted) for one in found),
        "found": sum(len(one.wanted) - len(one.missed) for one in found),
        "published": sum(len(one.tools) for one in found),
        "failing": sum(len(one.failing) for one in found),
        "brier": judged["brier"],
        "confidence": {
            "targets": judged,
            "pages": fitting.judge(on_pages, answers[len(on_targets) :]),
            "together": fitting.judge(rows, answers),
            "targets, shipped weights": fitting.judge(on_targets, fitting.shipped(on_targets)),
        },
        "of": {
            one.name: {
                "wanted": len(one.wanted),
                "found": len(one.wanted) - len(one.missed),
                "published": len(one.tools),
                "failing": len(one.failing),
                "seconds": [round(seconds, 1) for seconds in one.seconds],
            }
            for one in found
        },
    }


def show(found: list[Found], result: dict[str, Any]) -> None:
    """Print what a person wants to know."""
    for one in found:
        print(f"{one.name}: {result['of'][one.name]}")
        for entry in one.missed:
            print(f"  missed    {entry.id}: {' or '.join(f'{r.method} {r.path}' for r in entry.requests)}")
        for tool in one.tools:
            if not one.is_wanted(tool):
                request = as_request(tool) or {"method": "", "url": tool.found_on, "inputs": []}
                print(f"  unmatched {tool.name}: {request['method']} {request['url']} {request['inputs'][:6]}")
        for name in one.failing:
            print(f"  failing   {name}")
    for name, judged in result["confidence"].items():
        print(f"confidence of {name}: {judged}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEVELOPMENT.parent, help="folder with forms/ and pagination/")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    parser.add_argument("--fit", action="store_true", help="fit the shipped weights anew")
    parser.add_argument("--target", action="append", choices=NAMES, help="only these targets")
    parser.add_argument("--kept", type=Path, help="folder with what targets gave before")
    parser.add_argument("--jobs", type=int, default=20, help="timed discoveries; 0 leaves them out")
    options = parser.parse_args()
    if len(options.target or NAMES) == 1 and not labelled_rows(options.data):
        parser.error(f"--data: {options.data} has no labelled pages, and --target alone leaves nothing to judge it by")
    found = [kept_or_found(name, options.kept) for name in options.target or NAMES]
    result = figures(found, data=options.data)
    if options.fit:
        rows = [*fitting.target_rows(found), *labelled_rows(options.data)]
        _WEIGHTS.write_text(confidence.format_weights(fitting.fit(rows)), encoding="utf-8")
    show(found, result)
    if options.jobs:
        result |= measure(options.jobs)
        print({name: result[name] for name in ("p50_s", "p95_s", "shop_p50_s", "shop_p95_s", "run_http_p50_ms")})
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
