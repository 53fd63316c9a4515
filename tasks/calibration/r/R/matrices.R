# Preparing misclassification matrices: rows are true causes, columns VA causes, both named.

row_means <- function(matrix) matrix / rowSums(matrix)

# The matrix over the study's causes. `dirichlet`: the rows are Dirichlet parameters, kept as they are; otherwise rows are
# probabilities and sum to 1 again afterwards. `map`: study cause -> broad cause, named by the study causes, or NULL where
# the study's causes are causes of the matrix.
study_matrix <- function(matrix, causes, map, dirichlet) {
  if (is.null(map)) {
    picked <- matrix[causes, causes, drop = FALSE]
    return(if (dirichlet) picked else row_means(picked))
  }
  broad <- map[causes]
  distinct <- unique(broad)
  picked <- matrix[distinct, distinct, drop = FALSE]
  strength <- rowSums(picked)[broad]
  expanded <- row_means(picked)[broad, broad, drop = FALSE]
  dimnames(expanded) <- list(causes, causes)
  error <- if (dirichlet) 0.001 else 0
  for (shared in distinct[tabulate(match(broad, distinct)) > 1]) {
    inside <- which(broad == shared)
    copies <- length(inside)
    block <- expanded[inside, inside]
    expanded[-inside, inside] <- expanded[-inside, inside] / copies
    factor <- matrix(error / (copies - 1), copies, copies)
    diag(factor) <- 1 - error
    expanded[inside, inside] <- block * factor
  }
  if (dirichlet) expanded * unname(strength) else expanded
}

# Reduce sampled matrices (draws x true x VA) to Dirichlet parameters, row by row: the mean, and the precision under
# which the samples are likeliest.
dirichlet_from_samples <- function(samples) {
  size <- dim(samples)[2]
  reduced <- t(vapply(seq_len(size), function(true) {
    drawn <- pmax(matrix(samples[, true, ], ncol = size), 1e-12)
    drawn <- drawn / rowSums(drawn)
    mean <- colMeans(drawn)
    mean * size * dirichlet_precision(mean, colMeans(log(drawn)))
  }, numeric(size)))
  dimnames(reduced) <- dimnames(samples)[2:3]
  reduced
}

# The s that maximises the mean log density of Dirichlet(C s mean) over draws whose mean logarithm is `mean_log`.
dirichlet_precision <- function(mean, mean_log) {
  size <- length(mean)
  if (size == 1) return(1)
  fit <- function(log_s) {
    alpha <- size * exp(log_s) * mean
    lgamma(sum(alpha)) - sum(lgamma(alpha)) + sum((alpha - 1) * mean_log)
  }
  exp(optimize(fit, c(-12, 16), maximum = TRUE, tol = 1e-8)$maximum)
}

# Which causes stay uncalibrated: those asked for, and with `learn` those whose column hardly varies over the true causes.
# Returns the reasons ("requested", "indistinct"), named by cause.
excluded_causes <- function(means, requested, learn, threshold) {
  reasons <- character()
  if (learn) {
    range <- apply(means, 2, function(column) max(column) - min(column))
    flat <- colnames(means)[range <= threshold]
    reasons[flat] <- "indistinct"
  }
  reasons[requested] <- "requested"
  reasons[colnames(means)[colnames(means) %in% names(reasons)]]
}
