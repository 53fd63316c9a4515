"""The Celery application: ``celery -A tasks worker -Q crawler`` finds it here."""

from functools import cached_property

from celery import Celery

from tasks.core.kernel import Kernel, open_kernel
from tasks.core.settings import load_settings


class SwitchyardCelery(Celery):  # type: ignore[misc]  # Celery has no types
    """Celery, plus the kernel of this process."""

    @cached_property
    def kernel(self) -> Kernel:
        """The kernel, opened on first use in this process; closed when the process ends."""
        return open_kernel(load_settings())


app = SwitchyardCelery("switchyard")
app.config_from_object("celeryconfig")
