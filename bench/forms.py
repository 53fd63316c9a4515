"""How well forms are recognised: their type, search forms among them, and the kinds of their fields.

``python -m bench.forms [--data FOLDER] [--json] [--fit]``

FOLDER has ``index.jsonl`` and ``html/``, or is the parent of ``forms/`` that has. Without ``--data``, the development
data beside the repository is used and the figures are OUT OF FOLD: ten models, each fitted without the sites that it is
tried on. With ``--data``, the SHIPPED model is tried as it is: give it only data that it was not fitted on. ``--fit``
fits the shipped weights anew on all of FOLDER, writes them into the package and prints out-of-fold figures for FOLDER.

Forms labelled as not annotated or to be skipped do not count. Rare types (poll, display options, navigation, captcha)
count as ``other``, as in the published annotations' own evaluation.
"""

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.fitting import fit, out_of_fold, site_of
from tasks.discovery.engine.form_features import field_features, form_features
from tasks.discovery.engine.form_types import FORM_TYPES, field_kinds, form_type
from tasks.discovery.engine.html_page import read_page
from tasks.discovery.engine.page import Form, Page

ROOT = Path(__file__).parents[1]
DEVELOPMENT = ROOT.parent / "shared" / "data" / "forms"
WEIGHTS = ROOT / "tasks" / "discovery" / "engine"

UNLABELLED = frozenset({"NOT ANNOTATED", "SKIP THIS FORM"})
RARE = "rare"
# Kinds of fields with fewer examples than this are one class.
MIN_EXAMPLES = 12
FORM_STRENGTH = 0.3
FIELD_STRENGTH = 0.1


@dataclass(frozen=True, slots=True)
class Case:
    """One labelled form; ``fields`` gives a kind to names of controls."""

    form: Form
    type: str
    fields: dict[str, str]
    site: str


def read_cases(folder: Path) -> tuple[int, list[Case]]:
    """Return the number of pages and the labelled forms."""
    cases: list[Case] = []
    records = [json.loads(line) for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines()]
    for record in records:
        html = gzip.decompress((folder / record["file"]).read_bytes()).decode("utf-8", "replace")
        page = read_page(html, url=record["url"])
        for form, labels in _paired(page, record["forms"]):
            if labels["type"] not in UNLABELLED:
                kind = labels["type"] if labels["type"] in FORM_TYPES else "other"
                cases.append(Case(form, kind, labels["fields"], site_of(record["url"])))
    return len(records), cases


def _paired(page: Page, labels: list[dict]) -> Iterator[tuple[Form, dict]]:
    """Pair forms and labels in order. A few pages have a form that nobody labelled: it lacks the labelled names."""
    forms = iter(page.forms)
    for label in labels:
        for form in forms:
            names = {control.name for control in form.controls}
            if len(page.forms) == len(labels) or names >= set(label["fields"]):
                yield form, label
                break


def measure(pages: int, cases: list[Case], types: list[str], kinds: list[tuple[str, str]]) -> dict:
    """Return the figures; ``types`` are the answers, ``kinds`` pairs of true and answered kinds of fields."""
    found = sum(answer == "search" for answer in types)
    wanted = sum(case.type == "search" for case in cases)
    both = sum(answer == case.type == "search" for case, answer in zip(cases, types, strict=True))
    right = Counter(case.type for case, answer in zip(cases, types, strict=True) if answer == case.type)
    return {
        "pages": pages,
        "forms": len(cases),
        "type_accuracy": _share(sum(right.values()), len(cases)),
        "search_precision": _share(both, found),
        "search_recall": _share(both, wanted),
        "recall_by_type": {name: _share(right[name], sum(case.type == name for case in cases)) for name in FORM_TYPES},
        "fields": len(kinds),
        "field_accuracy": _share(sum(true == answer for true, answer in kinds), len(kinds)),
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def try_shipped(pages: int, cases: list[Case]) -> dict:
    """Return the figures of the shipped models."""
    types = [form_type(case.form).name for case in cases]
    kinds = []
    for case, answer in zip(cases, types, strict=True):
        guesses = field_kinds(case.form, type_name=answer)
        for position, true in _labelled_fields(case):
            guess = guesses[position]
            if guess is not None:
                kinds.append((true if true in guess.probabilities else RARE, guess.name))
    return measure(pages, cases, types, kinds)


def try_out_of_fold(pages: int, cases: list[Case], *, is_written: bool) -> dict:
    """Return out-of-fold figures; ``is_written`` also fits on everything and writes the weights."""
    rows = [form_features(case.form) for case in cases]
    labels, sites = [case.type for case in cases], [case.site for case in cases]
    classes, answers = out_of_fold(rows, labels, sites, strength=FORM_STRENGTH)
    types = [classes[int(row.argmax())] for row in answers]
    # The models for fields see forms whose type was guessed by a model that did not know it, as at run time.
    places = [
        (number, position, true) for number, case in enumerate(cases) for position, true in _labelled_fields(case)
    ]
    common = Counter(true for _, _, true in places)
    field_labels = [true if common[true] >= MIN_EXAMPLES else RARE for _, _, true in places]
    field_rows = [field_features(cases[n].form, position, form_type=types[n]) for n, position, _ in places]
    field_sites = [sites[n] for n, _, _ in places]
    field_classes, field_answers = out_of_fold(field_rows, field_labels, field_sites, strength=FIELD_STRENGTH)
    kinds = [(true, field_classes[int(row.argmax())]) for true, row in zip(field_labels, field_answers, strict=True)]
    if is_written:
        _write("form_types", fit(rows, labels, sites, strength=FORM_STRENGTH))
        _write("field_kinds", fit(field_rows, field_labels, field_sites, strength=FIELD_STRENGTH))
    return measure(pages, cases, types, kinds)


def _labelled_fields(case: Case) -> Iterator[tuple[int, str]]:
    for position, control in enumerate(case.form.controls):
        kind = case.fields.get(control.name, "NOT ANNOTATED")
        if control.type != "hidden" and kind != "NOT ANNOTATED":
            yield position, kind


def _write(name: str, model) -> None:
    (WEIGHTS / f"{name}.json").write_text(model.to_json(), encoding="utf-8")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with labelled forms; tries the shipped model on it")
    parser.add_argument("--fit", action="store_true", help="fit the shipped weights anew")
    parser.add_argument("--json", action="store_true", help="print a JSON object as the last line")
    options = parser.parse_args()
    folder = options.data or DEVELOPMENT
    if (folder / "forms" / "index.jsonl").is_file():
        folder = folder / "forms"
    if not (folder / "index.jsonl").is_file():
        parser.error(f"{folder} has no index.jsonl; name another folder with --data")
    pages, cases = read_cases(folder)
    is_shipped = options.data is not None and not options.fit
    figures = try_shipped(pages, cases) if is_shipped else try_out_of_fold(pages, cases, is_written=options.fit)
    way = "shipped model" if is_shipped else "out of fold, by site"
    print(f"forms: {way}, {figures['pages']} pages, {figures['forms']} labelled forms")
    for name in ("type_accuracy", "search_precision", "search_recall", "field_accuracy"):
        print(f"  {name:<18}{figures[name]}")
    print("  recall by type    " + ", ".join(f"{name} {value}" for name, value in figures["recall_by_type"].items()))
    if options.json:
        print(json.dumps({**figures, "bench": "forms", "evaluation": way}))


if __name__ == "__main__":
    main()
