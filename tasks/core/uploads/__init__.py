"""Files that tenants send before, or with, the job that needs them.

``references`` is what a family's contract may import; ``store`` keeps the files and their rows.
"""

from tasks.core.uploads.references import UploadId, UploadRef

__all__ = ["UploadId", "UploadRef"]
