"""The homes of sites as the operator's settings have them: what engines get as ``Homes``."""

from tasks.core.job import JobContext
from tasks.core.kernel import Kernel
from tasks.core.ledger import queries
from tasks.core.ledger.tenants import name_of
from tasks.core.settings import Settings
from tasks.publishing.engine.git.access import NO_ACCESS, Access
from tasks.publishing.engine.homes import Home
from tasks.publishing.engine.places.bucket import BucketPlace
from tasks.publishing.engine.places.folder import FolderPlace
from tasks.publishing.engine.purging import Caches, HTTPPurge, Varnish
from tasks.publishing.targets import open_bucket, target_named


class KernelHomes:
    """Implements ``Homes`` by the settings and the ledger of this process."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def wanted(self, job: JobContext, site: str) -> Home:
        """See ``Homes``."""
        names = _names(self._kernel, job)
        return self.named(job, site, self._kernel.settings.publishing_file.target_for(names, site))

    def named(self, job: JobContext, site: str, target: str) -> Home:
        """See ``Homes``."""
        kernel, tenant = self._kernel, tenant_of(self._kernel, job)
        found = target_named(kernel.settings, target, site=site)
        caches = caches_of(kernel.settings, target, site=site)
        if found.folder is not None:
            return Home(FolderPlace(found.folder / tenant, site), caches, target)
        return Home(BucketPlace(open_bucket(kernel, found).below(tenant, site)), caches, target)


def caches_of(settings: Settings, target: str, *, site: str) -> Caches:
    """Return the caches in front of a target.

    Raises:
        TargetUnknown: it is not declared.
    """
    found = target_named(settings, target, site=site)
    made: list[Varnish | HTTPPurge] = []
    for entry in found.caches:
        name, _, address = entry.partition(":")
        made.append(Varnish(address) if name == "varnish" else HTTPPurge(address, found.cache_token))
    return Caches(made)


def git_access(kernel: Kernel, job: JobContext, url: str) -> Access:
    """Return what is stored for a repository: the first entry that is for it and for the job's tenant."""
    names = _names(kernel, job)
    for one in kernel.settings.publishing_file.git:
        if one.is_for(url, names):
            password = one.password.get_secret_value() if one.password else None
            return Access(one.user, password, str(one.ca_file) if one.ca_file else None)
    return NO_ACCESS


def _names(kernel: Kernel, job: JobContext) -> tuple[str, ...]:
    tenant = tenant_of(kernel, job)
    return tenant, name_of(kernel.ledger, tenant) or tenant


def tenant_of(kernel: Kernel, job: JobContext) -> str:
    """Return the id of the tenant whose job it is."""
    found = queries.job(kernel.ledger, job.id)
    assert found is not None  # noqa: S101  # it runs
    return found.tenant_id
