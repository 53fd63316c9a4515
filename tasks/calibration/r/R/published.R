# The other engine: the published R package vacalibration, where the operator has installed it. It gets what prepare.R
# makes, as counts and as matrices over the study's own causes, and every argument by name, so that its cause tables,
# countries and defaults decide nothing. What it hands back is checked and summed up by the same code as our own draws.

# Its arguments have changed names; which it has is asked of the function, because both kinds have called themselves 2.1.
INTERFACES <- list(
  "2.2" = c(matrices = "missmat", type = "missmat_type", shrinkage = "pshrink_strength"),
  "2.1" = c(matrices = "Mmat", type = "Mmat_type", shrinkage = "shrink_strength")
)

# The package and how to talk to it.
published_package <- function() {
  .libPaths(c(dirname(find_self()), .libPaths()))
  missing <- Filter(function(name) !requireNamespace(name, quietly = TRUE), c("vacalibration", "rstan"))
  if (length(missing)) {
    where <- paste(.libPaths(), collapse = ", ")
    stop("engine_unavailable: the R package ", missing[1], " cannot be loaded from ", where, call. = FALSE)
  }
  version <- as.character(packageVersion("vacalibration"))
  calibrate <- getExportedValue("vacalibration", "vacalibration")
  known <- vapply(INTERFACES, function(names) all(names %in% names(formals(calibrate))), NA)
  if (!any(known)) {
    stop("engine_unavailable: vacalibration ", version, " has neither the arguments of 2.2 nor those of 2.1", call. = FALSE)
  }
  interface <- names(INTERFACES)[known][1]
  list(version = version, interface = interface, names = INTERFACES[[interface]], calibrate = calibrate)
}

# The answer of `calibrate`, made by the package. Algorithms that cannot be calibrated are not shown to it: with one of
# them its ensemble fails, and what it returns for them is no distribution.
calibrate_published <- function(request, say = function(stage, done, total, fit) NULL) {
  package <- published_package()
  algorithms <- rownames(request$counts)
  say("prepare", 0, length(algorithms), "")
  prepared <- lapply(algorithms, function(name) prepare_algorithm(request, name))
  names(prepared) <- algorithms
  able <- algorithms[vapply(prepared, `[[`, NA, "calibrated")]
  ensemble <- request$ensemble && length(able) > 1
  began <- proc.time()[["elapsed"]]
  calls <- if (length(able)) published_calls(package, request, prepared[able], ensemble, say)
  seconds <- proc.time()[["elapsed"]] - began
  prepared[able] <- lapply(able, function(name) as_fitted(request, name, prepared[[name]], calls))
  groups <- c(as.list(algorithms), if (ensemble) list(able))
  fits <- lapply(seq_along(groups), function(f) {
    name <- if (f > length(algorithms)) "ensemble" else algorithms[f]
    published_fit(request, prepared[groups[[f]]], name, calls, seconds)
  })
  names(fits) <- vapply(fits, `[[`, "", "name")
  list(prepared = prepared, fits = fits, engine = package)
}

# One call a chain, because several in one call make the package fail. R's generator starts the same in each, so that all
# chains have the same path-corrected matrices (these come from random draws that `seed` does not reach); only Stan's seeds
# differ.
published_calls <- function(package, request, prepared, ensemble, say) {
  before <- RNGkind()
  on.exit(RNGkind(before[1], before[2], before[3]))
  RNGkind("Mersenne-Twister", "Inversion", "Rejection")
  set.seed(request$seed)
  seeds <- sample.int(.Machine$integer.max, request$chains)
  calls <- lapply(seq_along(seeds), function(chain) {
    say("chain", chain - 1, request$chains, "")
    set.seed(request$seed)
    with_its_words(do.call(package$calibrate, its_arguments(package, request, prepared, ensemble, seeds[chain])))
  })
  say("chain", request$chains, request$chains, "")
  same <- vapply(calls, function(one) {
    identical(one$lambda_calibpath, calls[[1]]$lambda_calibpath) && identical(one$Mmat_tomodel, calls[[1]]$Mmat_tomodel)
  }, NA)
  if (!all(same)) stop("vacalibration corrected its matrices differently in chains that began alike", call. = FALSE)
  calls
}

its_arguments <- function(package, request, prepared, ensemble, seed) {
  algorithms <- names(prepared)
  arguments <- list(
    va_data = lapply(prepared, function(one) one$counts),
    # A cause named "other" would be left out if nothing was said.
    donotcalib = stats::setNames(lapply(request$excluded[algorithms], function(causes) if (length(causes)) causes), algorithms),
    donotcalib_type = if (request$learn) "learn" else "fixed", nocalib.threshold = request$threshold,
    path_correction = request$path_correction, ensemble = ensemble,
    nMCMC = request$plan$draws, nBurn = request$plan$warmup, nThin = request$plan$thin, nChain = 1, nCore = 1,
    adapt_delta_stan = request$plan$adapt_delta, seed = seed, verbose = TRUE, saveoutput = FALSE
  )
  arguments[[package$names[["matrices"]]]] <- lapply(prepared, `[[`, "study")
  arguments[[package$names[["type"]]]] <- if (request$type == "fixed") "fixed" else "prior"
  arguments[[package$names[["shrinkage"]]]] <- request$shrinkage
  if ("plot_it" %in% names(formals(package$calibrate))) arguments$plot_it <- FALSE
  arguments
}

# Its errors often have no text: the explanation was a message before.
with_its_words <- function(code) {
  said <- character()
  tryCatch(
    withCallingHandlers(code, message = function(told) said <<- c(said, trimws(conditionMessage(told)))),
    error = function(problem) {
      words <- conditionMessage(problem)
      if (!nzchar(words)) words <- paste(utils::tail(said[nzchar(said)], 3), collapse = " ")
      stop("vacalibration: ", if (nzchar(words)) words else "it said nothing", call. = FALSE)
    }
  )
}

# What was prepared, with the package's own choices in place of ours.
as_fitted <- function(request, name, one, calls) {
  answer <- calls[[1]]
  out <- colnames(answer$donotcalib_tomodel)[answer$donotcalib_tomodel[name, ]]
  one$calibrated <- isTRUE(as.logical(answer$calibrated[match(name, rownames(answer$donotcalib_tomodel))]))
  one$reasons <- stats::setNames(ifelse(out %in% names(one$reasons)[one$reasons == "requested"], "requested", "indistinct"), out)
  one$kept <- if (one$calibrated) setdiff(names(one$counts), out) else character()
  # With a fixed matrix it can be 1.01, although no matrix is more than the identity.
  lambda <- answer$lambda_calibpath[match(name, dimnames(answer$Mmat_tomodel)[[1]])]
  one$lambda <- if (one$calibrated && request$path_correction) min(1, lambda) else NA_real_
  one$used <- answer$Mmat_tomodel[name, one$kept, one$kept]
  one
}

published_fit <- function(request, prepared, name, calls, seconds) {
  fit <- begun_fit(request, prepared, name)
  fit$run <- if (length(fit$kept)) published_run(request, name, fit$kept, calls)
  ended_fit(request, prepared, fit, seconds)
}

# Draws of all chains, as sample_posterior gives them.
published_run <- function(request, name, kept, calls) {
  chains <- lapply(calls, published_chain, name = name, kept = kept)
  together <- function(item) vapply(chains, `[[`, chains[[1]][[item]], item)
  run <- list(p = together("p"), density = together("density"), divergences = together("divergences"),
              acceptance = together("acceptance"), gradients = together("gradients"), extended = FALSE)
  ordered <- all(together("ordered"))
  run$density <- matrix(run$density, ncol = length(chains))
  run$diagnostics <- diagnose(run)
  if (!ordered) run$diagnostics[] <- NA_real_
  run$converged <- ordered && has_converged(run, request$chains)
  run
}

# The package hands out draws in a random order, which says nothing of how the chain moved. Stan's own fit still has them
# in theirs; where it does not hold the same numbers, diagnostics are left out.
published_chain <- function(answer, name, kept) {
  shares <- answer$p_calib[name, , kept]
  shares <- shares / rowSums(shares)
  fit <- answer$calib_MCMCout[[name]]$stanfit
  drawn <- getExportedValue("rstan", "extract")(fit, pars = c("p_calib", "lp__"), permuted = FALSE)
  labels <- dimnames(drawn)[[3]]
  ours <- drawn[, 1, startsWith(labels, "p_calib")]
  ours <- if (ncol(ours) == length(kept)) ours else ours[, match(kept, dimnames(answer$p_calib)[[3]]), drop = FALSE]
  ours <- unname(ours / rowSums(ours))
  ordered <- isTRUE(all.equal(apply(ours, 2, sort), unname(apply(shares, 2, sort))))
  told <- getExportedValue("rstan", "get_sampler_params")(fit, inc_warmup = FALSE)[[1]]
  list(
    p = if (ordered) ours else unname(shares), ordered = ordered,
    density = if (ordered) as.vector(drawn[, 1, "lp__"]) else rep(NA_real_, nrow(shares)),
    divergences = sum(told[, "divergent__"]), acceptance = mean(told[, "accept_stat__"]),
    gradients = sum(told[, "n_leapfrog__"])
  )
}
