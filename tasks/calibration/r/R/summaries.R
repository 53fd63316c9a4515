# What is reported of a fit.

# Draws of all causes, draws x causes x chains: excluded causes as observed, the rest shared out among the others. NULL
# where nothing was calibrated.
reported_draws <- function(fit, causes) {
  if (is.null(fit$run)) return(NULL)
  out <- setdiff(causes, fit$kept)
  drawn <- fit$run$p * (1 - sum(fit$uncalibrated[out]))
  whole <- array(rep(fit$uncalibrated, each = dim(drawn)[1]), c(dim(drawn)[1], length(causes), dim(drawn)[3]))
  whole[, match(fit$kept, causes), ] <- drawn
  whole
}

# One row a cause: observed fraction, posterior mean, 2.5 % and 97.5 % quantiles, and how well they are known.
summarise <- function(fit, causes) {
  table <- data.frame(
    cause = causes, count = fit$counts, uncalibrated = fit$uncalibrated, mean = fit$uncalibrated, lower = NA_real_,
    upper = NA_real_, reason = "", rhat = NA_real_, ess_bulk = NA_real_, ess_tail = NA_real_
  )
  table$reason[match(names(fit$reasons), causes)] <- fit$reasons
  for (index in seq_along(fit$kept)) {
    row <- match(fit$kept[index], causes)
    drawn <- fit$draws[, row, ]
    table$mean[row] <- mean(drawn)
    table[row, c("lower", "upper")] <- quantile(drawn, c(0.025, 0.975), names = FALSE)
    table[row, c("rhat", "ess_bulk", "ess_tail")] <- fit$run$diagnostics[index, ]
  }
  table
}

# Whole deaths of one algorithm under the fit's fractions: what is left out keeps its counts, the total is kept.
calibrated_deaths <- function(counts, fit) {
  deaths <- counts
  kept <- fit$kept
  if (length(kept)) {
    means <- fit$summary$mean[match(kept, fit$summary$cause)]
    deaths[kept] <- largest_remainder(means / sum(means), sum(counts[kept]))
  }
  deaths
}

largest_remainder <- function(fractions, total) {
  exact <- fractions * total
  whole <- floor(exact)
  missing <- round(total - sum(whole))
  # Ties go to the first cause, and an exact share is not taken for a large remainder by rounding.
  first <- order(-round(exact - whole, 9), seq_along(exact))[seq_len(missing)]
  whole[first] <- whole[first] + 1
  whole
}
