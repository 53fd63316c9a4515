"""Pictures of a calibration, as SVG and PNG. Light to import: matplotlib loads with the first picture."""

from tasks.calibration.figures.canvas import MEDIA_TYPES, Form
from tasks.calibration.figures.heatmap import MatrixView, misclassification, misclassification_images

__all__ = ["MEDIA_TYPES", "Form", "MatrixView", "misclassification", "misclassification_images"]
