"""What a submission says of its follow-ups, checked as far as that can be before anything has run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from app.attachments import named_uploads
from app.auth import tenant_id
from app.callbacks import check_url
from app.errors import FieldsRejected, Refusal, refusal_of, refusals_of
from app.forms import FollowUp, Form
from app.inputs import validate_body
from app.lookups import lookups
from app.services import Services
from tasks.core.errors import InputRejected
from tasks.core.follow_ups.checks import errors_in
from tasks.core.follow_ups.places import leads_somewhere
from tasks.core.follow_ups.plans import MOST_STEPS, Branch, Plan
from tasks.core.follow_ups.templates import FROM, LITERAL, Hole, TemplateRefused, condition, holes_of, items_of
from tasks.core.matching import Requires
from tasks.core.spec import JobSpec
from tasks.core.uploads.references import holds_uploads

_MOST_IN_ALL = 100


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to follow a job, and the SHA-256 of each upload that it names, by id."""

    plan: Plan
    uploads: dict[str, str] = field(default_factory=dict)


_Ancestors = tuple[tuple[JobSpec, Branch], ...]


def planned(at: Services, spec: JobSpec, form: Form) -> Planned:
    """Check what is to follow a job of this kind.

    Raises:
        FieldsRejected: a step has an unknown kind or field, a constant that its kind refuses, a pointer that leads
            nowhere, or is one too many.
        MuchWork: uploads are so large that another process should check them.
    """
    if form.on_success is None and form.on_failure is None:
        return Planned(Plan())
    reading = _Reading(at)
    steps: dict[str, Any] = {
        branch.value: reading.step(step, (branch.value,), ((spec, branch),))
        for branch, step in ((Branch.SUCCESS, form.on_success), (Branch.FAILURE, form.on_failure))
        if step is not None
    }
    if reading.refusals:
        raise FieldsRejected(reading.refusals)
    return Planned(Plan.after(steps), reading.uploads)


@dataclass(slots=True)
class _Reading:
    """Reads the steps of one submission."""

    at: Services
    refusals: list[Refusal] = field(default_factory=list)
    uploads: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def step(self, sent: FollowUp, path: tuple[str, ...], ancestors: _Ancestors) -> dict[str, Any]:
        """Return a step as it is kept, with what follows it; ``ancestors`` as in ``leads_somewhere``."""
        self.count += 1
        if self.count > _MOST_IN_ALL:
            message = f"More than {_MOST_IN_ALL} follow-ups in all."
            raise FieldsRejected([Refusal(field=_joined(*path), message=message)])
        kept = sent.model_dump(mode="json", exclude_unset=True, exclude={"callback", "on_success", "on_failure"})
        kept["params"] = sent.params
        spec = self.at.specs.get(sent.kind)
        if spec is None:
            self._refuse(path, "kind", _no_kind(self.at, sent.kind))
            return kept
        self._check_limits(sent, spec, path)
        self._check_when(sent.when, path, ancestors)
        if sent.requires is not None:
            kept["requires"] = sent.requires.asked()
            self._check_requires(sent.requires, spec, path)
        self._check_params(sent.params, spec, path, ancestors)
        if sent.callback is not None:
            kept["callback"] = sent.callback.model_dump(mode="json")
            self._check_callback(sent.callback.url, path)
        for branch, inner in ((Branch.SUCCESS, sent.on_success), (Branch.FAILURE, sent.on_failure)):
            if inner is not None and (read := self._inner(inner, (*path, branch.value))) is not None:
                kept[branch.value] = self.step(read, (*path, branch.value), ((spec, branch), *ancestors))
        return kept

    def _inner(self, sent: dict[str, Any], path: tuple[str, ...]) -> FollowUp | None:
        if len(path) > MOST_STEPS:
            self._refuse(path, "", f"A chain has at most {MOST_STEPS} follow-ups, one after the other.")
            return None
        try:
            return validate_body(FollowUp, sent)
        except FieldsRejected as exc:
            for refusal in exc.refusals:
                self._refuse(path, refusal.field, refusal.message)
            return None

    def _check_when(self, when: str | None, path: tuple[str, ...], ancestors: _Ancestors) -> None:
        if when is None:
            return
        try:
            [hole] = holes_of(condition(when))
        except TemplateRefused as exc:
            self._refuse(path, "when", exc.message)
            return
        if not leads_somewhere(ancestors, hole.tokens):
            self._refuse(path, "when", _leads_nowhere(hole, ancestors))

    def _check_limits(self, sent: FollowUp, spec: JobSpec, path: tuple[str, ...]) -> None:
        for name, wanted, most in (
            ("timeout_s", sent.timeout_s, spec.soft_limit_s),
            ("max_attempts", sent.max_attempts, spec.retry.max_attempts),
        ):
            if wanted is not None and wanted > most:
                self._refuse(path, name, f"{wanted:g} is over the limit of {spec.kind}, {most:g}.")

    def _check_requires(self, requires: Requires, spec: JobSpec, path: tuple[str, ...]) -> None:
        if requires.same_worker_as is not None:
            self._refuse(path, "requires.same_worker_as", "Say `same_worker: true` for the worker of the job before.")
        for name in sorted(spec.capabilities):
            if getattr(requires, name, None) is False:
                self._refuse(path, f"requires.{name}", f"{spec.kind} needs {name}.")

    def _check_params(self, params: object, spec: JobSpec, path: tuple[str, ...], ancestors: _Ancestors) -> None:
        try:
            holes = holes_of(params)
        except TemplateRefused as exc:
            self._refuse(path, _joined("params", *exc.path), exc.message)
            return
        for hole in holes:
            if not leads_somewhere(ancestors, hole.tokens):
                self._refuse(path, _joined("params", *hole.path), _leads_nowhere(hole, ancestors))
        found = errors_in(spec.request, params, lookups())
        self.refusals += [refusal_of(dict(error), (*path, "params"), params) for error in found]
        if not found and holds_uploads(spec.request):
            self._check_uploads(params, holes, spec, (*path, "params"))

    def _check_uploads(self, params: object, holes: Sequence[Hole], spec: JobSpec, inside: tuple[str, ...]) -> None:
        try:
            if holes:
                self.uploads |= self._kept_uploads(params, inside)
            else:
                request = spec.request.model_validate(params, context=lookups())
                self.uploads |= named_uploads(self.at, spec, request, inside=inside)
        except InputRejected as exc:
            self.refusals += refusals_of(exc)

    def _kept_uploads(self, params: object, inside: tuple[str, ...]) -> dict[str, str]:
        """Return what a template names itself; what its holes will name is looked up when they are filled."""
        named = dict(_uploads_in(params, inside))
        found = self.at.uploads.find_all(tenant_id(), list(named))
        for upload_id, field_ in named.items():
            if upload_id not in found or not found[upload_id].is_complete:
                self._refuse((), field_, "There is no such upload, or it is not complete.")
        return {one.id: one.sha256 or "" for one in found.values()}

    def _check_callback(self, url: str, path: tuple[str, ...]) -> None:
        try:
            check_url(self.at.settings, url, field=_joined(*path, "callback", "url"))
        except InputRejected as exc:
            self.refusals += refusals_of(exc)

    def _refuse(self, path: tuple[str, ...], field_: str, message: str) -> None:
        self.refusals.append(Refusal(field=_joined(*path, *([field_] if field_ else [])), message=message))


def _uploads_in(node: object, path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict) and (FROM in node or node.keys() == {LITERAL}):
        return
    if isinstance(node, dict) and node.keys() == {"upload"} and isinstance(node["upload"], str):
        yield node["upload"], _joined(*path, "upload")
        return
    for name, inner in items_of(node):
        yield from _uploads_in(inner, (*path, str(name)))


def _no_kind(at: Services, kind: str) -> str:
    near = get_close_matches(kind, at.specs, n=1)
    return f"No kind {kind!r}: " + (f"did you mean {near[0]!r}?" if near else "`GET /api/kinds` lists what there is.")


def _leads_nowhere(hole: Hole, ancestors: _Ancestors) -> str:
    spec, branch = ancestors[0]
    end = "result" if branch is Branch.SUCCESS else "error"
    return f"`{hole.pointer}` leads nowhere: {spec.kind} has no such value. There are /job, /request and /{end}" + (
        ", and /parent." if len(ancestors) > 1 else "."
    )


def _joined(*parts: str | int) -> str:
    return ".".join(map(str, parts))
