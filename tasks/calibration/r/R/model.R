# The sampler's view of a calibration: see src/model.h.

# Knots of the normal coordinates. Beyond them lies a share of 1e-15 of the prior.
KNOTS <- seq(-8, 8, by = 0.2)

# log g as a function of a standard normal z, for g ~ Gamma(alpha): its value and slope at each knot (2 x knots). Between
# the knots both samplers take the cubic with these values and slopes, whose error is of the order of 1e-6.
gamma_table <- function(alpha) {
  tail <- stats::pnorm(KNOTS, log.p = TRUE)
  value <- suppressWarnings(log(stats::qgamma(tail, alpha, log.p = TRUE)))
  # Far below 1 the distribution function is g^alpha / Gamma(alpha + 1), long after qgamma has given up.
  power <- (tail + lgamma(alpha + 1)) / alpha
  far <- !is.finite(value) | power < -23
  value[far] <- power[far]
  upper <- KNOTS > 4
  value[upper] <- log(stats::qgamma(stats::pnorm(KNOTS[upper], lower.tail = FALSE, log.p = TRUE), alpha, lower.tail = FALSE, log.p = TRUE))
  density <- alpha * value - exp(value) - lgamma(alpha)
  rbind(value, exp(stats::dnorm(KNOTS, log = TRUE) - density))
}

# Arguments: `alpha`, the Dirichlet parameters of p; `counts`, algorithms x causes; `priors`, per algorithm a matrix true
# x VA of Dirichlet parameters, where a row without any (all 0) is not sampled; `known`, per algorithm the rows that are
# not sampled, 0 elsewhere.
sampler_model <- function(alpha, counts, priors, known) {
  causes <- ncol(counts)
  rows <- do.call(rbind, lapply(seq_along(priors), function(k) {
    free <- which(rowSums(priors[[k]]) > 0)
    if (length(free)) cbind(k, free) else NULL
  }))
  support <- lapply(seq_len(NROW(rows)), function(r) which(priors[[rows[r, 1]]][rows[r, 2], ] > 0))
  parameters <- lapply(seq_len(NROW(rows)), function(r) priors[[rows[r, 1]]][rows[r, 2], support[[r]]])
  dirichlet <- c(alpha, unlist(parameters))
  list(
    causes = causes,
    algorithms = nrow(counts),
    dim = length(dirichlet),
    table = as.double(vapply(dirichlet, gamma_table, matrix(0, 2, length(KNOTS)))),
    knots = length(KNOTS), first = KNOTS[1], spacing = KNOTS[2] - KNOTS[1],
    counts = as.double(t(counts)),
    fixed = as.double(unlist(lapply(known, t))),
    row_algorithm = as.integer(rows[, 1]) - 1L,
    row_cause = as.integer(rows[, 2]) - 1L,
    row_start = as.integer(causes + c(0, cumsum(lengths(support)))),
    column = c(integer(causes), as.integer(unlist(support)) - 1L)
  )
}
