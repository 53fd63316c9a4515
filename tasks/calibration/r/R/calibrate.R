# The whole of a calibration: every algorithm by itself, then all together.

# Convergence asked for: A. Vehtari and others (2021), section 4.
RHAT_LIMIT <- 1.01
ESS_PER_CHAIN <- 100
# A run that has not converged goes on for this many times its draws, thinned to their number.
EXTENSION <- 4L

# `say(stage, done, total, fit)` hears of progress. Returns `prepared` (by algorithm) and `fits`.
calibrate <- function(request, say = function(stage, done, total, fit) NULL) {
  algorithms <- rownames(request$counts)
  say("prepare", 0, length(algorithms), "")
  prepared <- lapply(seq_along(algorithms), function(k) {
    one <- prepare_algorithm(request, algorithms[k])
    say("prepare", k, length(algorithms), algorithms[k])
    one
  })
  if (request$path_correction) {
    prepared <- lapply(seq_along(algorithms), function(k) {
      one <- correct_path(request, prepared[[k]])
      say("path_correction", k, length(algorithms), algorithms[k])
      one
    })
  }
  names(prepared) <- algorithms
  groups <- as.list(algorithms)
  if (request$ensemble) groups <- c(groups, list(algorithms))
  seeds <- chain_seeds(request$seed, request$chains * length(groups))
  fits <- lapply(seq_along(groups), function(f) {
    mine <- seeds[, (f - 1) * request$chains + seq_len(request$chains), drop = FALSE]
    name <- if (f > length(algorithms)) "ensemble" else algorithms[f]
    print_fit(
      fit_group(request, prepared[groups[[f]]], mine, name, function(done, total) say("fit", done, total, name))
    )
  })
  names(fits) <- vapply(fits, `[[`, "", "name")
  list(prepared = prepared, fits = fits)
}

# One line for whoever watches.
print_fit <- function(fit) {
  if (is.null(fit$run)) {
    cat(fit$name, ": not calibrated\n", sep = "")
  } else {
    worst <- fit$run$diagnostics
    size <- dim(fit$run$p)
    cat(sprintf(
      "%s: %d draws in %d chains, %.2f s; largest R-hat %.4f, smallest effective sizes %.0f (bulk) and %.0f (tail)%s\n",
      fit$name, size[1] * size[3], size[3], fit$seconds, max(worst[, "rhat"]), min(worst[, "ess_bulk"]),
      min(worst[, "ess_tail"]), if (fit$run$extended) ", after going on for longer" else ""
    ))
  }
  fit
}

fit_group <- function(request, prepared, seeds, name, tell) {
  began <- proc.time()[["elapsed"]]
  fit <- begun_fit(request, prepared, name)
  fit$run <- if (length(fit$kept)) converged_run(request, fit_model(request, prepared, fit$kept), seeds, tell)
  ended_fit(request, prepared, fit, proc.time()[["elapsed"]] - began)
}

# What is known of a fit before anything was drawn.
begun_fit <- function(request, prepared, name) {
  counts <- Reduce(`+`, lapply(prepared, `[[`, "counts"))
  kept <- request$causes[request$causes %in% unlist(lapply(prepared, `[[`, "kept"))]
  list(
    name = name, counts = counts, uncalibrated = counts / sum(counts), kept = kept,
    reasons = left_out(request$causes, kept, prepared)
  )
}

# The fit, once `run` has its draws.
ended_fit <- function(request, prepared, fit, seconds) {
  fit$draws <- reported_draws(fit, request$causes)
  fit$summary <- summarise(fit, request$causes)
  fit$deaths <- do.call(rbind, lapply(prepared, function(one) calibrated_deaths(one$counts, fit)))
  fit$seconds <- seconds
  fit
}

# Why each cause outside of `kept` stays as observed. In an ensemble a cause is left out where every member leaves it out.
left_out <- function(causes, kept, prepared) {
  out <- setdiff(causes, kept)
  reasons <- vapply(out, function(cause) {
    own <- vapply(prepared, function(one) if (cause %in% names(one$reasons)) one$reasons[[cause]] else "", "")
    if ("requested" %in% own) "requested" else if ("indistinct" %in% own) "indistinct" else "not_calibrated"
  }, "")
  stats::setNames(as.character(reasons), out)
}

converged_run <- function(request, model, seeds, tell) {
  starts <- chain_starts(model, seeds)
  plan <- request$plan
  total <- request$chains * (plan$warmup + plan$draws * plan$thin)
  sample <- function(plan, z, seeds, before, total) {
    sample_posterior(model, plan, z, seeds, request$cores, function(done) tell(before + done, total), request$in_r)
  }
  run <- sample(plan, starts$z, starts$seeds, 0, total)
  run$diagnostics <- diagnose(run)
  run$extended <- !has_converged(run, request$chains)
  if (run$extended) {
    longer <- plan
    longer$warmup <- 2L * plan$warmup
    longer$thin <- EXTENSION * plan$thin
    whole <- total + request$chains * (longer$warmup + longer$draws * longer$thin)
    run <- sample(longer, run$z, run$seeds, total, whole)
    run$diagnostics <- diagnose(run)
    run$extended <- TRUE
    total <- whole
  }
  run$converged <- has_converged(run, request$chains)
  tell(total, total)
  run
}

# R-hat and effective sizes of each calibrated fraction: quantities x three numbers.
diagnose <- function(run) {
  t(vapply(seq_len(dim(run$p)[2]), function(cause) {
    diagnosis(matrix(run$p[, cause, ], dim(run$p)[1]))
  }, numeric(3)))
}

has_converged <- function(run, chains) {
  worst <- run$diagnostics
  !anyNA(worst) && all(worst[, "rhat"] <= RHAT_LIMIT) && all(worst[, -1] >= ESS_PER_CHAIN * chains)
}
