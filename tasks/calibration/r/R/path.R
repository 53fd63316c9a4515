# Path correction: shrink a matrix toward the identity until the observed fractions can be inverted.

# Fractions this close to 0 or 1 are taken for 0 or 1, so that rounding in the inverse decides nothing.
EDGE <- 1e-9

pseudo_inverse <- function(matrix) {
  parts <- svd(matrix)
  kept <- parts$d > max(parts$d) * sqrt(.Machine$double.eps)
  parts$v[, kept, drop = FALSE] %*% (t(parts$u[, kept, drop = FALSE]) / parts$d[kept])
}

# The least weight of the identity, in steps of 0.01 from `first`, at which every step before gave fractions in [0, 1].
# `fractions` sum to 1 over the causes that are calibrated; `means` is their matrix.
path_lambda <- function(means, fractions, first, last) {
  steps <- round(first * 100):0
  for (step in steps) {
    lambda <- step / 100
    solved <- pseudo_inverse(t(lambda * diag(nrow(means)) + (1 - lambda) * means)) %*% fractions
    if (any(solved < -EDGE | solved > 1 + EDGE)) return(min((step + 1) / 100, last))
  }
  0
}

# Dirichlet parameters of lambda * identity + (1 - lambda) * Dirichlet(parameters), row by row: the exact mean, and the
# precision whose density is likeliest for that mixture. The mixture's logarithms are taken exactly instead of from
# random draws, so the correction depends on no seed.
mixed_dirichlet <- function(parameters, lambda) {
  size <- nrow(parameters)
  mixed <- t(vapply(seq_len(size), function(true) {
    alpha <- parameters[true, ]
    unit <- as.numeric(seq_len(size) == true)
    mean <- lambda * unit + (1 - lambda) * alpha / sum(alpha)
    mean_log <- vapply(seq_len(size), function(cause) {
      mean_log_shifted(alpha[cause], sum(alpha) - alpha[cause], lambda * unit[cause] + PAD, 1 - lambda)
    }, numeric(1)) - log(1 + size * PAD)
    mean * size * dirichlet_precision(mean, mean_log)
  }, numeric(size)))
  dimnames(mixed) <- dimnames(parameters)
  mixed
}

# What the model adds to a mixed row before it takes logarithms.
PAD <- 1e-5

# E log(shift + scale X) for X ~ Beta(a, b): by parts, an integral of the distribution function over log X.
mean_log_shifted <- function(a, b, shift, scale) {
  if (scale == 0) return(log(shift))
  high <- log(qbeta(1e-13, a, b, lower.tail = FALSE))
  low <- max(log(shift / scale) - 32, log(max(qbeta(1e-13, a, b), 1e-300)))
  if (low >= high) return(log(shift + scale * exp(high)))
  at <- low + (high - low) * (GAUSS$node + 1) / 2
  slope <- scale * exp(at) / (shift + scale * exp(at))
  log(shift + scale * exp(high)) - (high - low) / 2 * sum(GAUSS$weight * pbeta(exp(at), a, b) * slope)
}

# Nodes and weights of Gauss and Legendre on [-1, 1], by the eigenvalues of Jacobi's matrix (G. H. Golub, J. H. Welsch,
# Mathematics of Computation 23, 1969).
gauss_legendre <- function(n) {
  k <- seq_len(n - 1)
  jacobi <- matrix(0, n, n)
  jacobi[cbind(k, k + 1)] <- jacobi[cbind(k + 1, k)] <- k / sqrt(4 * k^2 - 1)
  parts <- eigen(jacobi, symmetric = TRUE)
  list(node = parts$values, weight = 2 * parts$vectors[1, ]^2)
}
GAUSS <- gauss_legendre(96)
