"""Makes a kept release live again: the very same bytes, read back and compared."""

from collections.abc import Callable
from dataclasses import dataclass

from tasks.core.errors import Permanent
from tasks.core.job import JobContext
from tasks.publishing.contract import MAX_FORM_URLS, RollbackRequest, RollbackResult, Stage
from tasks.publishing.engine.announcing import announce, page_urls
from tasks.publishing.engine.forms import forms_of, with_other_forms
from tasks.publishing.engine.going_live import go_live, reconciled
from tasks.publishing.engine.homes import Homes, bring
from tasks.publishing.engine.memo import Memo
from tasks.publishing.engine.stages import Stages
from tasks.publishing.engine.turns import turn_of
from tasks.publishing.failures import full_disk_told
from tasks.publishing.manifest import difference
from tasks.publishing.release import Act, Records


class ReleaseUnknown(Permanent):
    """There is no such release of the site, or no earlier one, or it is no longer kept."""

    code = "release_unknown"


@dataclass(frozen=True, slots=True)
class Rollback:
    """Makes kept releases live; previews, too."""

    records: Records
    homes: Homes
    open_memo: Callable[[JobContext, str], Memo]

    def __call__(self, request: RollbackRequest, job: JobContext) -> RollbackResult:
        """Make a release live.

        Raises:
            ReleaseUnknown: it is not kept.
            TargetUnknown: the site or the release lies in a target that is not declared any more.
            VerificationFailed: what visitors got was something else; what was live before is live again.
            PurgeFailed: it is live, but a cache may show what was there before. Transient.
            ActivationRefused: a later job has published the site meanwhile.
        """
        with full_disk_told(), turn_of(self.records, job, request.site):
            return self._run(request, job)

    def _run(self, request: RollbackRequest, job: JobContext) -> RollbackResult:
        stages = Stages(job)
        known = self.records.site(job, request.site)
        if known is None:
            raise ReleaseUnknown(f"There is no site {request.site!r}: publish it first.", field="site")
        # Where it is, not where it might be wanted next: who goes back is in a hurry.
        home = self.homes.named(job, request.site, known.target)
        place = home.place
        before = reconciled(self.records, job, home, request.site)
        known = self.records.site(job, request.site) or known
        release = request.release or (known.previous if known.live == before.release else known.live)
        if release is None:
            raise ReleaseUnknown(f"{request.site} has no earlier release to go back to.", field="site")
        with stages.stage(Stage.VALIDATING):
            home.caches.check(job)
            kept = {one.release: one for one in self.records.kept(job, request.site)}
            if release not in kept:
                raise ReleaseUnknown(f"Release {release[:12]} of {request.site} is not kept.", field="release")
            manifest = bring(self.homes, job, home, kept[release])
            old = place.manifest(before.release) if before.release else None
            change = difference(old, manifest)
            memo = self.open_memo(job, request.site)
            forms = forms_of(old, (*change.changed, *change.removed), memo=memo, read=place.live_content)
        verified = go_live(
            self.records,
            job,
            home,
            stages,
            site=request.site,
            url=known.url,
            manifest=manifest,
            before=before,
            act=Act.ROLLED_BACK,
            change=change,
        )
        with stages.stage(Stage.ANNOUNCING):
            now = forms_of(manifest, (*change.changed, *change.added), memo=memo, read=place.live_content)
            other = list(with_other_forms(forms, now))
            announce(
                job, request.site, release, before.release, url=known.url, change=change, forms_changed=len(other),
                cause="rollback", target=home.target,
            )  # fmt: skip
        return RollbackResult(
            site=request.site,
            release=release,
            previous=before.release,
            url=known.url,
            target=home.target,
            added=len(change.added),
            changed=len(change.changed),
            removed=len(change.removed),
            changed_urls=page_urls(known.url, (*change.added, *change.changed)),
            removed_urls=page_urls(known.url, change.removed),
            forms_changed=len(other),
            form_urls=page_urls(known.url, other, most=MAX_FORM_URLS),
            verified=verified,
            stages=stages.seconds,
        )
