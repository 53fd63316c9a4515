# The way in and out: tables in one folder, causes and broad causes by short tokens (c1, c2, ...).

# Calibrate what lies in `folder` and leave the answer there. Progress goes to the console as lines that begin with
# "::progress".
run_folder <- function(folder) {
  request <- read_request(folder)
  answer <- if (request$engine == "vacalibration") {
    calibrate_published(request, say_progress)
  } else {
    calibrate(request, say_progress)
  }
  write_answer(folder, request, answer)
  invisible(TRUE)
}

say_progress <- function(stage, done, total, fit) {
  cat(sprintf("::progress %s %d %d %s\n", stage, as.integer(done), as.integer(total), fit))
}

read_table <- function(folder, name) {
  path <- file.path(folder, paste0(name, ".csv"))
  if (file.exists(path)) read.csv(path, stringsAsFactors = FALSE, colClasses = TABLES[[name]]) else NULL
}

TABLES <- list(
  plan = c("character", "character"),
  counts = c("character", "character", "numeric"),
  matrices = c("character", "integer", "character", "character", "numeric"),
  map = c("character", "character"),
  excluded = c("character", "character")
)

# plan.csv (name, value), counts.csv (algorithm, cause, count), matrices.csv (algorithm, draw, true, va, value), map.csv
# (cause, broad) where study causes are mapped, excluded.csv (algorithm, cause).
read_request <- function(folder) {
  plan <- read_table(folder, "plan")
  plan <- stats::setNames(as.list(plan$value), plan$name)
  number <- function(name) {
    value <- suppressWarnings(as.numeric(plan[[name]]))
    if (length(value) != 1 || is.na(value)) stop("plan.csv: ", name, " is no number", call. = FALSE)
    value
  }
  whole <- function(name) as.integer(number(name))
  counts <- read_table(folder, "counts")
  causes <- unique(counts$cause)
  algorithms <- unique(counts$algorithm)
  table <- matrix(0, length(algorithms), length(causes), dimnames = list(algorithms, causes))
  table[cbind(counts$algorithm, counts$cause)] <- counts$count
  matrices <- read_table(folder, "matrices")
  map <- read_table(folder, "map")
  excluded <- read_table(folder, "excluded")
  list(
    causes = causes, counts = table, type = plan$type,
    matrices = lapply(split(matrices, factor(matrices$algorithm, algorithms)), stacked_matrix),
    map = if (!is.null(map)) stats::setNames(map$broad, map$cause),
    excluded = lapply(split(excluded$cause, factor(excluded$algorithm, algorithms)), as.character),
    learn = plan$learn == "TRUE", threshold = number("threshold"),
    path_correction = plan$path_correction == "TRUE", shrinkage = number("shrinkage"),
    ensemble = plan$ensemble == "TRUE", seed = whole("seed"), chains = whole("chains"), cores = whole("cores"),
    in_r = plan$in_r == "TRUE", engine = plan$engine,
    plan = list(
      warmup = whole("warmup"), draws = whole("draws"), thin = whole("thin"), max_steps = 256L,
      adapt_delta = number("adapt_delta"), duration = DURATION
    )
  )
}

# Longest trajectory in the metric's units; lengths are drawn evenly up to it.
DURATION <- 5

# A matrix true x VA, or an array draws x true x VA where there are several draws.
stacked_matrix <- function(table) {
  causes <- unique(table$true)
  draws <- max(table$draw)
  stack <- array(0, c(draws, length(causes), length(causes)), list(NULL, causes, causes))
  stack[cbind(table$draw, match(table$true, causes), match(table$va, causes))] <- table$value
  if (draws == 1) matrix(stack, length(causes), dimnames = list(causes, causes)) else stack
}

write_answer <- function(folder, request, answer) {
  write_table <- function(table, name) {
    write.csv(table, file.path(folder, paste0(name, ".csv")), row.names = FALSE, na = "")
  }
  write_table(do.call(rbind, lapply(answer$fits, function(fit) cbind(fit = fit$name, fit$summary))), "summary")
  write_table(do.call(rbind, lapply(answer$fits, fit_row)), "fits")
  write_table(do.call(rbind, lapply(answer$fits, deaths_rows)), "deaths")
  write_table(do.call(rbind, lapply(names(answer$prepared), function(name) {
    prepared_row(name, answer$prepared[[name]])
  })), "prepared")
  write_table(do.call(rbind, lapply(names(answer$prepared), function(name) {
    matrix_rows(name, answer$prepared[[name]], answer$fits[[name]])
  })), "used")
  for (index in seq_along(answer$fits)) {
    fit <- answer$fits[[index]]
    if (!is.null(fit$draws)) {
      file <- file(file.path(folder, sprintf("draws-%d.bin", index)), "wb")
      writeBin(as.vector(fit$draws), file, endian = "little")
      writeBin(as.vector(fit$run$density), file, endian = "little")
      close(file)
    }
  }
  own <- as.character(packageVersion("switchyardcalib", lib.loc = dirname(find_self())))
  versions <- c(r = as.character(getRversion()), package = own, sampler = if (request$in_r || !has_native()) "r" else "c")
  if (!is.null(answer$engine)) {
    versions[["package"]] <- answer$engine$version
    versions[["sampler"]] <- "stan"
    versions[["interface"]] <- answer$engine$interface
    versions[["rstan"]] <- as.character(packageVersion("rstan"))
  }
  write_table(data.frame(name = names(versions), version = versions), "versions")
}

find_self <- function() getNamespaceInfo("switchyardcalib", "path")

fit_row <- function(fit) {
  run <- fit$run
  worst <- function(name, choose) if (is.null(run)) NA_real_ else choose(run$diagnostics[, name])
  data.frame(
    fit = fit$name, calibrated = !is.null(run), chains = if (is.null(run)) 0L else ncol(run$density),
    rhat_max = worst("rhat", max), ess_bulk_min = worst("ess_bulk", min),
    ess_tail_min = worst("ess_tail", min), divergences = if (is.null(run)) 0 else sum(run$divergences),
    extended = isTRUE(run$extended), converged = is.null(run) || run$converged,
    acceptance = if (is.null(run)) NA_real_ else mean(run$acceptance),
    gradients = if (is.null(run)) 0 else sum(run$gradients), seconds = fit$seconds
  )
}

deaths_rows <- function(fit) {
  data.frame(
    fit = fit$name, algorithm = rep(rownames(fit$deaths), ncol(fit$deaths)),
    cause = rep(colnames(fit$deaths), each = nrow(fit$deaths)), deaths = as.vector(fit$deaths)
  )
}

prepared_row <- function(name, one) {
  data.frame(
    algorithm = name, lambda = one$lambda, calibrated = one$calibrated, kept = paste(one$kept, collapse = " "),
    requested = paste(names(one$reasons)[one$reasons == "requested"], collapse = " "),
    indistinct = paste(names(one$reasons)[one$reasons == "indistinct"], collapse = " ")
  )
}

# The matrix as given, over the study's causes, as used after path correction, and its posterior mean; the last two over
# the causes that are calibrated.
matrix_rows <- function(name, one, fit) {
  rows <- function(stage, matrix) {
    data.frame(
      algorithm = name, stage = stage, true = rep(rownames(matrix), ncol(matrix)),
      va = rep(colnames(matrix), each = nrow(matrix)), value = as.vector(matrix)
    )
  }
  tables <- list(rows("given", one$given), rows("study", one$study))
  if (one$calibrated) tables <- c(tables, list(rows("used", one$used)))
  if (!is.null(fit$run$matrices)) {
    posterior <- matrix(fit$run$matrices[, , 1], length(fit$kept), dimnames = list(fit$kept, fit$kept))
    tables <- c(tables, list(rows("posterior", posterior)))
  }
  do.call(rbind, tables)
}
