"""What a body may refer to and the ledger holds: models ask for it while they are checked."""

from app.auth import tenant_id
from app.services import services
from tasks.calibration.shelf import SHELF
from tasks.calibration.store import LedgerShelf


def lookups() -> dict[str, object]:
    """Return what a model finds in pydantic's validation context, by the name that it asks for.

    Nothing is read before a model asks, and then for the tenant that sent the request.
    """
    return {SHELF: LedgerShelf(services().kernel.ledger, tenant_id)}
