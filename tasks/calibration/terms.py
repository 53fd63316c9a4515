"""What a calibration's request and its result have in common."""

from typing import Annotated

from pydantic import Field

KIND = "calibration.va"
MAX_ALGORITHMS = 10

Cause = Annotated[str, Field(min_length=1, max_length=100)]
AlgorithmName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,49}$")]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
