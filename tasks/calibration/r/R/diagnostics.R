# Convergence of several chains: A. Vehtari, A. Gelman, D. Simpson, B. Carpenter, P.-C. Buerkner, Bayesian Analysis 16(2),
# 2021. Each function takes draws of one quantity, draws x chains, in the order in which they were drawn.

split_halves <- function(draws) {
  half <- nrow(draws) %/% 2
  cbind(draws[seq_len(half), , drop = FALSE], draws[nrow(draws) - half + seq_len(half), , drop = FALSE])
}

# Normal scores of the draws' ranks. Ties come from floating point only, so their order does not matter.
normal_scores <- function(draws) {
  scores <- array(0, dim(draws))
  scores[order(draws, method = "radix")] <- qnorm((seq_along(draws) - 3 / 8) / (length(draws) + 1 / 4))
  scores
}

is_constant <- function(draws) diff(range(draws)) < 1e-12

plain_rhat <- function(draws) {
  n <- nrow(draws)
  means <- colMeans(draws)
  within <- mean(colSums((draws - rep(means, each = n))^2)) / (n - 1)
  between <- n * var(means)
  sqrt((n - 1) / n + between / within / n)
}

# The larger of rank-normalised split R-hat and its folded version; NA for a constant.
rhat <- function(draws) {
  if (is_constant(draws)) return(NA_real_)
  halves <- split_halves(draws)
  folded <- abs(halves - stats::median(halves))
  max(plain_rhat(normal_scores(halves)), plain_rhat(normal_scores(folded)))
}

# Autocovariances of one chain at lags 0, 1, ..., by Fourier transform.
autocovariance <- function(chain) {
  n <- length(chain)
  size <- stats::nextn(2 * n)
  transformed <- stats::fft(c(chain - mean(chain), numeric(size - n)))
  Re(stats::fft(Conj(transformed) * transformed, inverse = TRUE))[seq_len(n)] / (size * n)
}

# Geyer's initial monotone sequence over the chains' mean autocovariance (section 3.2 of the paper).
effective_size <- function(draws) {
  if (has_native()) .Call(native_effective_size, draws + 0) else reference_effective_size(draws)
}

reference_effective_size <- function(draws) {
  n <- nrow(draws)
  chains <- ncol(draws)
  covariance <- apply(draws, 2, autocovariance)
  within <- mean(covariance[1, ]) * n / (n - 1)
  pooled <- within * (n - 1) / n + if (chains > 1) var(colMeans(draws)) else 0
  correlation <- 1 - (within - rowMeans(covariance)) / pooled
  correlation[1] <- 1
  pairs <- correlation[seq(1, n - 1, 2)] + correlation[seq(2, n, 2)][seq_len(n %/% 2)]
  end <- which(pairs < 0)[1]
  if (is.na(end)) end <- length(pairs) + 1
  kept <- cummin(pairs[seq_len(max(1, end - 1))])
  tail <- if (end <= length(pairs)) max(0, correlation[2 * end - 1]) else 0
  time <- max(-1 + 2 * sum(kept) + tail, 1 / log10(length(draws)))
  length(draws) / time
}

# All three at once: the first two look at the same scores.
diagnosis <- function(draws) {
  if (is_constant(draws)) return(c(rhat = NA_real_, ess_bulk = NA_real_, ess_tail = NA_real_))
  halves <- split_halves(draws)
  scores <- normal_scores(halves)
  folded <- normal_scores(abs(halves - stats::median(halves)))
  c(rhat = max(plain_rhat(scores), plain_rhat(folded)), ess_bulk = effective_size(scores), ess_tail = ess_tail(draws))
}

ess_bulk <- function(draws) if (is_constant(draws)) NA_real_ else effective_size(normal_scores(split_halves(draws)))

ess_tail <- function(draws) {
  if (is_constant(draws)) return(NA_real_)
  sizes <- vapply(quantile(draws, c(0.05, 0.95)), function(edge) {
    below <- split_halves(draws <= edge) + 0
    if (is_constant(below)) NA_real_ else effective_size(below)
  }, numeric(1))
  min(sizes)
}
