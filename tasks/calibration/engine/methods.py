"""What was done, in sentences for a paper's appendix."""

from tasks.calibration.engine.fits import fits_of, stalled_of
from tasks.calibration.inventory import POOLED
from tasks.calibration.results import CalibrationResult

REFERENCES = (
    "S. Pramanik and others: Modeling structure and country-specific heterogeneity in misclassification matrices of "
    "verbal autopsy-based cause of death classifiers. Annals of Applied Statistics, 2025. doi:10.1214/24-AOAS2006",
    "A. Vehtari, A. Gelman, D. Simpson, B. Carpenter, P.-C. Bürkner: Rank-normalization, folding, and localization: an "
    "improved R-hat for assessing convergence of MCMC. Bayesian Analysis 16(2), 2021. doi:10.1214/20-BA1221",
)

_WHERE_LEFT = {
    "default": "where they are named other, which is the default",
    "requested": "where that was asked for",
}
_MATRICES = {
    "prior": "Rows of each matrix had independent Dirichlet priors.",
    "fixed": "The matrices were taken as known.",
    "samples": "Rows of each matrix had independent Dirichlet priors, whose means and precisions were fitted to the "
    "sampled matrices that were given.",
}


def methods(result: CalibrationResult) -> list[str]:
    """Return the sentences, in paragraphs, as the parameters of ``result`` had it."""
    return [" ".join(_model(result)), " ".join(_computation(result)), " ".join(_reporting(result))]


def _model(result: CalibrationResult) -> list[str]:
    parameters = result.provenance.parameters
    names = ", ".join(f"{name} ({fit.total:,})" for name, fit in result.algorithms.items())
    told = [
        f"Fractions of {len(result.causes)} causes were calibrated for the known misclassification of verbal-autopsy "
        f"algorithms (deaths in brackets): {names}.",
        "The counts of an algorithm were modelled as multinomial with probabilities transpose(M) p, where p holds the "
        "fractions sought and row i of the matrix M tells how the algorithm assigns deaths of true cause i [1].",
        _origin(result),
        _MATRICES[str(parameters["missmat_type"])],
    ]
    if result.provenance.studycause_map:
        told.append("Matrices over broad causes were expanded to the study's causes.")
    if parameters["path_correction"]:
        told.append(
            "Each matrix was shrunk to the identity by the least weight λ, in steps of 0.01, at which the observed "
            "fractions can be inverted (path correction), and the prior of p was flat."
        )
    else:
        told.append(
            f"No path correction was made; the prior of p was pulled to the observed fractions with strength "
            f"{parameters['pshrink_strength']:g}."
        )
    left = _left_as_observed(result)
    if left:
        told.append(f"Causes were left as observed {', or '.join(left)}.")
    if result.ensemble is not None:
        told.append("The ensemble is one fit of all algorithms that share p, each with a matrix of its own.")
    return told


def _left_as_observed(result: CalibrationResult) -> list[str]:
    parameters = result.provenance.parameters
    statuses = {cause.status for fit in fits_of(result).values() for cause in fit.causes}
    where = [_WHERE_LEFT[status] for status in ("default", "requested") if status in statuses]
    if parameters["donotcalib_type"] == "learn":
        where.append(
            "where the algorithm assigns them about as often whatever the true cause (range of the column at most "
            f"{parameters['nocalib_threshold']:g})"
        )
    return where


def _origin(result: CalibrationResult) -> str:
    provenance = result.provenance
    if result.is_example:
        return "The matrices are invented, as are the deaths."
    if provenance.matrices is None:
        return "The matrices came with the request."
    whose = "pooled over countries" if provenance.country == POOLED else f"of {provenance.country}"
    kept = provenance.matrices
    return f"The matrices are those {whose} in the set {kept.name}, version {kept.version}."


def _computation(result: CalibrationResult) -> list[str]:
    parameters, provenance = result.provenance.parameters, result.provenance
    told = [
        f"The posterior was sampled by {provenance.engine} {provenance.package_version} in R {provenance.r_version} "
        f"(seed {provenance.seed}), with {_count(parameters['chains'], 'chain')} of {parameters['draws']:,} kept draws "
        f"each after {parameters['warmup']:,} iterations of warm-up{_thinned(parameters['thin'])}.",
    ]
    fits = fits_of(result)
    if any(fit.is_calibrated and fit.diagnostics.rhat_max is None for fit in fits.values()):
        told.append("Convergence could not be judged, because the order of the draws is not known.")
    else:
        told.append(
            "Convergence was judged by rank-normalised split R-hat (at most 1.01) and by bulk and tail effective "
            "sample sizes (at least 100 a chain) [2]."
        )
    extended = [name for name, fit in fits.items() if fit.diagnostics.extended]
    if extended:
        told.append(f"Runs that had not converged went on for four times their draws: {', '.join(extended)}.")
    return told


def _count(number: object, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _thinned(every: object) -> str:
    return "" if every == 1 else f", one of {every} iterations being kept"


def _reporting(result: CalibrationResult) -> list[str]:
    told = [
        "Estimates are posterior means with 2.5 % and 97.5 % quantiles. Deaths are the total that was calibrated times "
        "the posterior mean, rounded by largest remainder; causes left as observed keep their deaths."
    ]
    if stalled_of(result):
        told.append(
            "Where path correction reached its limit the matrix used says next to nothing of the algorithm's errors; "
            f"intervals would be falsely narrow and are withheld: {', '.join(stalled_of(result))}."
        )
    return told
