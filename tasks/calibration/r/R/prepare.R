# From a request to what is sampled: matrices over the study's causes, exclusions, path correction.

# Below this many of its causes an algorithm cannot be calibrated.
LEAST_CAUSES <- 2

# One algorithm's matrix over the study's causes, and what of it is calibrated. `request`: see read_request.
prepare_algorithm <- function(request, algorithm) {
  dirichlet <- request$type != "fixed"
  given <- request$matrices[[algorithm]]
  if (request$type == "samples") given <- dirichlet_from_samples(given)
  study <- study_matrix(given, request$causes, request$map, dirichlet)
  counts <- request$counts[algorithm, ]
  reasons <- excluded_causes(row_means(study), request$excluded[[algorithm]], request$learn, request$threshold)
  kept <- setdiff(request$causes, names(reasons))
  calibrated <- length(kept) >= LEAST_CAUSES && sum(counts[kept]) > 0
  if (!calibrated) kept <- character()
  used <- if (dirichlet) study[kept, kept, drop = FALSE] else row_means(study[kept, kept, drop = FALSE])
  list(counts = counts, given = given, study = study, used = used, reasons = reasons, kept = kept,
       calibrated = calibrated, lambda = NA_real_)
}

# The same algorithm with the matrix that is used: shrunk to the identity until its fractions can be inverted.
correct_path <- function(request, one) {
  if (!one$calibrated) return(one)
  dirichlet <- request$type != "fixed"
  limit <- if (dirichlet) 0.99 else 1
  means <- row_means(one$used)
  one$lambda <- path_lambda(means, one$counts[one$kept] / sum(one$counts[one$kept]), first = limit, last = limit)
  one$used[] <- if (dirichlet) {
    mixed_dirichlet(one$used, one$lambda)
  } else {
    one$lambda * diag(length(one$kept)) + (1 - one$lambda) * means
  }
  one
}

# The sampler's model of one fit over `kept` causes: one algorithm, or several that share their fractions.
fit_model <- function(request, prepared, kept) {
  fractions <- Reduce(`+`, lapply(prepared, `[[`, "counts"))
  fractions <- fractions / sum(fractions)
  strength <- if (request$path_correction) 0 else request$shrinkage
  alpha <- if (request$type == "fixed") {
    1 + length(kept) * strength * fractions[kept] / sum(fractions[kept])
  } else {
    1 + length(request$causes) * strength * fractions[kept]
  }
  rows <- lapply(prepared, function(one) fit_rows(one, kept, request$type != "fixed"))
  counts <- do.call(rbind, lapply(prepared, function(one) one$counts[kept]))
  sampler_model(unname(alpha), unname(counts), lapply(rows, `[[`, "prior"), lapply(rows, `[[`, "known"))
}

# Rows of one algorithm's matrix: those it calibrates are sampled or known over its own causes, the rest say that the
# algorithm makes no error there.
fit_rows <- function(one, kept, dirichlet) {
  prior <- matrix(0, length(kept), length(kept), dimnames = list(kept, kept))
  known <- prior
  own <- intersect(kept, one$kept)
  if (dirichlet) prior[own, own] <- one$used[own, own] else known[own, own] <- one$used[own, own]
  exact <- setdiff(kept, own)
  known[cbind(exact, exact)] <- 1
  list(prior = unname(prior), known = unname(known))
}
