"""Pictures of a calibration, as SVG and PNG. Light to import: matplotlib loads with the first picture."""

from tasks.calibration.figures.canvas import MEDIA_TYPES, PAGE_IN, Form
from tasks.calibration.figures.chains import ChainView, chains_images
from tasks.calibration.figures.fractions import fractions_images
from tasks.calibration.figures.heatmap import MatrixView, misclassification, misclassification_images

__all__ = [
    "MEDIA_TYPES",
    "PAGE_IN",
    "ChainView",
    "Form",
    "MatrixView",
    "chains_images",
    "fractions_images",
    "misclassification",
    "misclassification_images",
]
