# A stand-in for the published package, written from its documented interface: same shapes in and out, and the defects of
# the real one. Its "posterior" is Dirichlet(1 + counts) over the calibrated causes, by a chain that moves at every fourth
# draw only. interface-2.1.R and interface-2.2.R put the two versions' names of arguments before it.

stand_in <- function(va_data, matrices, type, donotcalib, learn, threshold, path, ensemble, n, burn, chains, seed, verbose) {
  algorithms <- names(va_data)
  causes <- names(va_data[[1]])
  if (verbose) message("* Preparing VA data for calibration")
  if (is.null(matrices)) {
    message("The stand-in has no matrices of its own.")
    stop("")
  }
  counts <- do.call(rbind, lapply(va_data, function(one) one[causes]))
  rownames(counts) <- algorithms
  if (any(counts < 0) || any(rowSums(counts) == 0)) {
    message("Deaths must not be negative, nor all zero.")
    stop("")
  }
  Sys.sleep(as.numeric(Sys.getenv("STAND_IN_SLEEP", "0")))
  if (nzchar(Sys.getenv("STAND_IN_EMPTY_ERROR"))) {
    message("The explanation is only told.")
    stop("")
  }
  if (is.null(donotcalib)) donotcalib <- stats::setNames(lapply(algorithms, function(name) "other"), algorithms)
  out <- t(vapply(algorithms, function(name) {
    means <- matrices[[name]][causes, causes] / rowSums(matrices[[name]][causes, causes])
    flat <- learn & apply(means, 2, function(column) diff(range(column))) <= threshold
    causes %in% donotcalib[[name]] | flat
  }, logical(length(causes))))
  dimnames(out) <- list(algorithms, causes)
  able <- rowSums(!out) > 1
  # The global stream decides lambda and the matrix used; `seed` does not reach it.
  lambda <- if (path) stats::setNames(0.38 + round(runif(length(algorithms)) / 50, 2), NULL) else rep(0, length(algorithms))
  lambda[!able] <- NA
  if (path && type == "fixed") lambda[able] <- 1.01
  used <- array(NA_real_, c(length(algorithms), length(causes), length(causes)), list(algorithms, causes, causes))
  for (name in algorithms[able]) used[name, , ] <- matrices[[name]][causes, causes] * (1 + runif(1) / 100)
  if (chains > 1) stop("number of items to replace is not a multiple of replacement length")
  rows <- c(algorithms, if (ensemble) "ensemble")
  if (ensemble && type != "fixed" && !all(able)) stop("Stan does not support NA (in Mmatprior_asDirich) in data")
  if (ensemble) {
    counts <- rbind(counts, ensemble = colSums(counts))
    out <- rbind(out, ensemble = apply(out, 2, all))
    able <- c(able, TRUE)
  }
  fractions <- counts / rowSums(counts)
  p_calib <- array(NA_real_, c(length(rows), n, length(causes)), list(rows, NULL, causes))
  fits <- list()
  for (row in seq_along(rows)) {
    if (!able[row]) {
      # Recycled column by column, so its rows are no distributions.
      p_calib[row, , ] <- matrix(fractions[row, ], n, length(causes))
      next
    }
    kept <- !out[row, ]
    for (at in c(1, burn + n)) if (verbose) cat(sprintf("Chain 1: Iteration: %d / %d [%3d%%]  (Sampling)\n", at, burn + n, 100 * at %/% (burn + n)))
    raw <- own_stream(seed + row, sticky_dirichlet(1 + counts[row, kept], n))
    stan <- if (type == "fixed") raw else cbind_all(raw, kept)
    fits[[rows[row]]] <- list(
      stanfit = list(p = stan, density = seq_len(n) * 1, told = cbind(accept_stat__ = rep(0.9, n), divergent__ = c(1, rep(0, n - 1)), n_leapfrog__ = 7)),
      mcmc.diagnostic = c(max_Rhat = 1, min_ess_bulk = 0.95, num_divergent = 1)
    )
    shuffled <- raw[sample.int(n), , drop = FALSE]
    p_calib[row, , ] <- matrix(fractions[row, ], n, length(causes), byrow = TRUE)
    p_calib[row, , kept] <- shuffled * (1 - sum(fractions[row, !kept]))
  }
  list(
    calib_MCMCout = fits, p_uncalib = fractions, p_calib = p_calib,
    Mmat_tomodel = used, donotcalib_tomodel = out, calibrated = able, lambda_calibpath = lambda, causes = causes
  )
}

sticky_dirichlet <- function(alpha, n) {
  drawn <- matrix(stats::rgamma(ceiling(n / 4) * length(alpha), rep(alpha, each = ceiling(n / 4))), ncol = length(alpha))
  (drawn / rowSums(drawn))[rep(seq_len(nrow(drawn)), each = 4)[seq_len(n)], , drop = FALSE]
}

# All causes, as the model with Dirichlet rows samples them; those left out have a share too.
cbind_all <- function(raw, kept) {
  all <- matrix(0.1, nrow(raw), length(kept))
  all[, kept] <- raw * (1 - 0.1 * sum(!kept))
  all
}

own_stream <- function(seed, code) {
  before <- get(".Random.seed", globalenv())
  on.exit(assign(".Random.seed", before, globalenv()))
  set.seed(seed)
  code
}
