# Facts about the sampler that only R can see; prints one line "name value" for each. Arguments: the R library.
.libPaths(c(commandArgs(TRUE)[1], .libPaths()))
package <- new.env(parent = asNamespace("switchyardcalib"))
with(package, {
  tell <- function(name, value) cat(name, format(value, digits = 15), "\n")

  # Two algorithms over four causes, the second exact for the last one.
  priors <- list(diag(20, 4) + 2, rbind(diag(c(9, 8, 12), 3) + 0.4, 0))
  priors[[2]] <- cbind(priors[[2]], 0)
  known <- list(matrix(0, 4, 4), matrix(0, 4, 4))
  known[[2]][4, 4] <- 1
  counts <- rbind(c(120, 60, 40, 30), c(90, 70, 60, 20))
  model <- sampler_model(c(1, 1, 2, 3), counts, priors, known)
  plan <- list(warmup = 40L, draws = 20L, thin = 1L, max_steps = 64L, adapt_delta = 0.8, duration = 3)
  starts <- chain_starts(model, chain_seeds(5, 2))
  run <- function(plan, in_r, cores = 1) sample_posterior(model, plan, starts$z, starts$seeds, cores, in_r = in_r)

  # The same random numbers and the same steps, so the same draws but for rounding, which grows along a chain.
  in_c <- run(plan, FALSE)
  in_r <- run(plan, TRUE)
  tell("draws_difference", max(abs(in_c$p - in_r$p)))
  tell("matrices_difference", max(abs(in_c$matrices - in_r$matrices)))
  tell("step_difference", max(abs(in_c$step_size - in_r$step_size)))
  tell("seeds_equal", identical(in_c$seeds, in_r$seeds))
  tell("gradients_equal", identical(as.numeric(in_c$gradients), as.numeric(in_r$gradients)))
  tell("threads_change_nothing", identical(run(plan, FALSE, 2), in_c))

  # The stream of the C code is R's own.
  longer <- list(warmup = 400L, draws = 1000L, thin = 1L, max_steps = 64L, adapt_delta = 0.8, duration = 3)
  drawn <- run(longer, FALSE)
  tell("row_sum_error", max(abs(apply(drawn$p, c(1, 3), sum) - 1)))

  # Gradient of the log density against differences.
  stack <- stack_of(model)
  z <- starts$z[, 1]
  at <- point_at(model, stack, z)
  numeric_gradient <- vapply(seq_along(z), function(d) {
    moved <- function(by) { there <- z; there[d] <- z[d] + by; density_at(stack, point_at(model, stack, there)) }
    (moved(1e-5) - moved(-1e-5)) / 2e-5
  }, 0)
  tell("gradient_error", max(abs(gradient_at(stack, at) - numeric_gradient) / (1 + abs(numeric_gradient))))

  # The table of log gamma quantiles between its knots.
  errors <- vapply(c(0.3, 1, 7, 250), function(alpha) {
    flat <- sampler_model(c(alpha, alpha), matrix(c(1, 1), 1), list(matrix(0, 2, 2)), list(diag(2)))
    z <- seq(-4.93, 4.97, by = 0.1)
    ours <- vapply(z, function(one) log(transform(flat, c(one, one))$g[1]), 0)
    max(abs(ours - log(qgamma(pnorm(z), alpha))))
  }, 0)
  tell("table_error", max(errors))

  # Without data the fractions come from their Dirichlet prior.
  empty <- sampler_model(c(1, 2, 5), matrix(c(1e-9, 0, 0), 1), list(matrix(0, 3, 3)), list(diag(3)))
  start <- chain_starts(empty, chain_seeds(2, 4))
  prior <- sample_posterior(empty, longer, start$z, start$seeds)
  tell("prior_mean_error", max(abs(apply(prior$p, 2, mean) - c(1, 2, 5) / 8)))
  tell("prior_variance_error", abs(var(as.vector(prior$p[, 1, ])) / (7 / 8 / 8 / 9) - 1))

  # Exact classification: the posterior is Dirichlet(1 + counts).
  exact <- sampler_model(rep(1, 3), matrix(c(50, 30, 20), 1), list(matrix(0, 3, 3)), list(diag(3)))
  start <- chain_starts(exact, chain_seeds(3, 4))
  conjugate <- sample_posterior(exact, longer, start$z, start$seeds)
  tell("conjugate_mean_error", max(abs(apply(conjugate$p, 2, mean) - c(51, 31, 21) / 103)))

  # Precision of a Dirichlet distribution from its own expected logarithms.
  alpha <- c(2, 0.4, 11)
  tell("precision_error", abs(3 * dirichlet_precision(alpha / sum(alpha), digamma(alpha) - digamma(sum(alpha))) / sum(alpha) - 1))
  tell("mean_log_error", abs(mean_log_shifted(2, 13, 1e-12, 1) - (digamma(2) - digamma(15))))
  by_quantiles <- integrate(function(u) log(1e-5 + 0.6 * qbeta(u, 0.4, 13)), 0, 1, subdivisions = 2000, rel.tol = 1e-9)
  tell("shifted_log_error", abs(mean_log_shifted(0.4, 13, 1e-5, 0.6) - by_quantiles$value))

  # R-hat and effective sizes where the answer is known.
  independent <- with_generator({ set.seed(1); matrix(rnorm(4000), 1000) })
  tell("rhat_independent", rhat(independent))
  tell("ess_independent", ess_bulk(independent))
  sizes <- function(how) vapply(list(independent, apart, matrix(slow, 10000), (independent > 1) + 0, -independent[1:7, ]), how, 0)
  apart <- independent + rep(c(0, 0, 0, 3), each = 1000)
  tell("rhat_apart", rhat(apart))
  slow <- with_generator({ set.seed(1); apply(matrix(rnorm(40000), 10000), 2, function(e) stats::filter(e, 0.9, "recursive")) })
  tell("ess_difference", max(abs(sizes(effective_size) / sizes(reference_effective_size) - 1)))
  tell("ess_slow_over_theory", ess_bulk(matrix(slow, 10000)) / (40000 * 0.1 / 1.9))

  tell("deaths_kept", sum(largest_remainder(c(1, 1, 1) / 3, 100)))
  tell("caller_stream_untouched", { set.seed(9); a <- runif(1); set.seed(9); chain_seeds(1, 3); identical(a, runif(1)) })
})
