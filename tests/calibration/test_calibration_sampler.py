"""The sampler: C against plain R, both against what is known exactly."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.calibration.r_library import built_library


@pytest.fixture(scope="module")
def facts() -> Mapping[str, str]:
    """What ``sampler.R`` found, by name."""
    script = Path(__file__).with_name("sampler.R")
    done = subprocess.run(
        ["Rscript", "--vanilla", script, built_library()], capture_output=True, text=True, check=False, timeout=110
    )
    assert 0 == done.returncode, done.stderr
    return dict(line.split() for line in done.stdout.splitlines() if line.strip())


@pytest.mark.parametrize(
    ("fact", "most"),
    [
        ("draws_difference", 1e-5),
        ("matrices_difference", 1e-5),
        ("step_difference", 1e-5),
        ("row_sum_error", 1e-12),
        ("gradient_error", 1e-6),
        ("table_error", 2e-5),
        ("prior_mean_error", 0.015),
        ("prior_variance_error", 0.12),
        ("conjugate_mean_error", 0.006),
        ("precision_error", 1e-5),
        ("mean_log_error", 1e-7),
        ("shifted_log_error", 1e-6),
        ("ess_difference", 1e-9),
    ],
)
def test_errors_are_small(facts: Mapping[str, str], fact: str, most: float) -> None:
    """C and R draw the same numbers; gradients, tables and posteriors are what they should be."""
    assert float(facts[fact]) <= most


@pytest.mark.parametrize(
    "fact", ["seeds_equal", "gradients_equal", "threads_change_nothing", "caller_stream_untouched"]
)
def test_claims_hold(facts: Mapping[str, str], fact: str) -> None:
    """Random numbers are R's own, the number of threads does not matter, and R's own stream is left alone."""
    assert "TRUE" == facts[fact]


def test_diagnostics_know_good_chains_from_bad(facts: Mapping[str, str]) -> None:
    """Independent draws count fully, a slow chain by its theory, and a chain elsewhere is seen."""
    assert 1.0 == pytest.approx(float(facts["rhat_independent"]), abs=0.01)
    assert 4000 == pytest.approx(float(facts["ess_independent"]), rel=0.15)
    assert 1.1 < float(facts["rhat_apart"])
    assert 1.0 == pytest.approx(float(facts["ess_slow_over_theory"]), abs=0.2)


def test_deaths_keep_their_total(facts: Mapping[str, str]) -> None:
    """Rounding by largest remainder loses nobody."""
    assert "100" == facts["deaths_kept"]
