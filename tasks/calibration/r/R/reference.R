# The sampler of src/chain.c in plain R, number for number: the reference that tests hold the C against, and what runs
# where no compiler was found.

reference_chains <- function(model, plan, starts, seeds, tell) {
  each <- plan$warmup + plan$draws * plan$thin
  runs <- lapply(seq_len(ncol(starts)), function(chain) {
    reference_chain(model, plan, starts[, chain], seeds[, chain], function(done) tell((chain - 1) * each + done))
  })
  together <- function(name) unlist(lapply(runs, `[[`, name))
  list(
    p = together("p"), density = together("density"), matrices = together("matrices"),
    z = matrix(together("z"), ncol = ncol(starts)), seeds = matrix(together("seeds"), 6),
    acceptance = together("acceptance"), step_size = together("step_size"),
    divergences = together("divergences"), gradients = together("gradients")
  )
}

# Indices that both directions need: where each coordinate of a free row lies in the stacked matrices. The stack has
# one row per (algorithm, true cause), algorithms one after another.
stack_of <- function(model) {
  row <- rep(seq_along(model$row_cause), diff(model$row_start))
  stacked <- model$row_algorithm[row] * model$causes + model$row_cause[row] + 1L
  free <- seq_len(model$dim) > model$causes
  list(
    row = row, stacked = stacked, cell = cbind(stacked, model$column[free] + 1L),
    algorithm = rep(seq_len(model$algorithms), each = model$causes),
    cause = rep(seq_len(model$causes), model$algorithms),
    counts = matrix(model$counts, model$algorithms, byrow = TRUE),
    fixed = matrix(model$fixed, ncol = model$causes, byrow = TRUE), free = free
  )
}

# log g and its slope at each coordinate: cubic between the knots, straight beyond them.
transform <- function(model, z) {
  table <- array(model$table, c(2, model$knots, model$dim))
  at <- (z - model$first) / model$spacing
  cell <- pmin(pmax(floor(at), 0), model$knots - 2) + 1
  pick <- function(what, knot) table[cbind(what, knot, seq_along(z))]
  t <- at - (cell - 1)
  rise <- pick(1, cell + 1) - pick(1, cell)
  a <- pick(2, cell) * model$spacing - rise
  b <- rise - pick(2, cell + 1) * model$spacing
  bend <- a * (1 - t) + b * t
  value <- pick(1, cell) + t * rise + t * (1 - t) * bend
  slope <- (rise + (1 - 2 * t) * bend + t * (1 - t) * (b - a)) / model$spacing
  below <- at <= 0
  value[below] <- (pick(1, 1) + pick(2, 1) * (z - model$first))[below]
  slope[below] <- pick(2, 1)[below]
  above <- at >= model$knots - 1
  value[above] <- (pick(1, model$knots) + pick(2, model$knots) * (at - model$knots + 1) * model$spacing)[above]
  slope[above] <- pick(2, model$knots)[above]
  list(g = exp(value), slope = slope)
}

point_at <- function(model, stack, z) {
  moved <- transform(model, z)
  p <- moved$g[!stack$free] / sum(moved$g[!stack$free])
  m <- stack$fixed
  if (length(stack$row)) {
    cells <- moved$g[stack$free]
    m[stack$cell] <- cells / rowsum(cells, stack$row)[stack$row]
  }
  list(z = z, slope = moved$slope, p = p, m = m, q = mixture(stack, p, m))
}

density_at <- function(stack, at) {
  seen <- stack$counts > 0
  density <- sum(stack$counts[seen] * log(at$q[seen])) - 0.5 * sum(at$z^2)
  if (is.nan(density)) -Inf else density
}

mixture <- function(stack, p, m) rowsum(p[stack$cause] * m, stack$algorithm)

pull <- function(stack, at, y) {
  spread <- y[stack$algorithm, , drop = FALSE]
  h <- rowSums(at$m * spread)
  by_cause <- rowsum(h, stack$cause)[, 1]
  v_p <- at$p * (by_cause - sum(at$p * by_cause))
  v_m <- at$p[stack$cause[stack$stacked]] * at$m[stack$cell] * (spread[stack$cell] - h[stack$stacked])
  at$slope * c(v_p, v_m)
}

push <- function(stack, at, v) {
  v <- at$slope * v
  v_p <- v[!stack$free]
  moved <- matrix(0, nrow(at$m), ncol(at$m))
  moved[stack$cell] <- v[stack$free]
  moved <- moved * at$m
  shift <- v_p[stack$cause] - rowSums(moved)
  rowsum(at$p[stack$cause] * (moved + at$m * shift), stack$algorithm) - sum(at$p * v_p) * at$q
}

gradient_at <- function(stack, at) {
  score <- ifelse(stack$counts > 0, stack$counts / at$q, 0)
  pull(stack, at, score) - at$z
}

# See the C code for the reason.
TRUST <- 0.12

metric_at <- function(stack, at) {
  n <- length(stack$counts)
  weight <- sqrt(TRUST * rowSums(stack$counts) / pmax(at$q, 1e-10))
  inner <- vapply(seq_len(n), function(index) {
    y <- array(0, dim(stack$counts))
    y[index] <- 1
    as.vector(push(stack, at, pull(stack, at, y)))
  }, numeric(n))
  list(
    at = at, weight = weight,
    inner = solve(matrix(inner, n) + diag(1 / pmax(as.vector(weight)^2, 1e-10), n))
  )
}

velocity_of <- function(stack, metric, momentum) {
  y <- push(stack, metric$at, momentum)
  z <- array(metric$inner %*% as.vector(y), dim(y))
  momentum - pull(stack, metric$at, z)
}

momentum_from <- function(model, stack, metric) {
  # The C code draws the counts' part row by row.
  y <- metric$weight * matrix(rnorm(length(stack$counts)), nrow(stack$counts), byrow = TRUE)
  pull(stack, metric$at, y) + rnorm(model$dim)
}

# One trajectory from `at`: the point it ends at (or `at` itself), the probability of acceptance, and what it cost.
iterate <- function(model, stack, plan, metric, at, step) {
  steps <- max(1, min(plan$max_steps, ceiling(plan$duration * runif(1) / step)))
  momentum <- momentum_from(model, stack, metric)
  energy <- 0.5 * sum(momentum * velocity_of(stack, metric, momentum)) - at$density
  new <- at
  for (s in seq_len(steps)) {
    momentum <- momentum + 0.5 * step * new$gradient
    new <- point_at(model, stack, new$z + step * velocity_of(stack, metric, momentum))
    new$gradient <- gradient_at(stack, new)
    momentum <- momentum + 0.5 * step * new$gradient
  }
  new$density <- density_at(stack, new)
  loss <- 0.5 * sum(momentum * velocity_of(stack, metric, momentum)) - new$density - energy
  if (is.nan(loss)) loss <- Inf
  probability <- if (loss <= 0) 1 else exp(-loss)
  accepted <- runif(1) < probability
  list(at = if (accepted) new else at, probability = probability, divergent = loss > 1000, taken = steps)
}

tuner_at <- function(step) list(log_step = log(step), log_mean = 0, gap = 0, centre = log(2 * step), n = 0)

tuner_after <- function(tuner, probability, target) {
  tuner$n <- tuner$n + 1
  tuner$gap <- tuner$gap + (target - probability - tuner$gap) / (tuner$n + 10)
  tuner$log_step <- tuner$centre - sqrt(tuner$n) / 0.05 * tuner$gap
  tuner$log_mean <- tuner$log_mean + tuner$n^-0.75 * (tuner$log_step - tuner$log_mean)
  tuner
}

reference_chain <- function(model, plan, start, seed, tell) {
  with_generator({
    set.seed(1)
    use_stream(seed)
    run_chain(model, stack_of(model), plan, start, tell)
  })
}

run_chain <- function(model, stack, plan, start, tell) {
  at <- point_at(model, stack, start)
  at$density <- density_at(stack, at)
  at$gradient <- gradient_at(stack, at)
  metric <- metric_at(stack, at)
  updates <- as.integer(c(0.05, 0.15, 0.4, 0.8) * plan$warmup)
  tuner <- tuner_at(0.5)
  mean <- NULL
  seen <- accepted <- divergences <- gradients <- 0
  p <- matrix(0, plan$draws, model$causes)
  density <- numeric(plan$draws)
  matrices <- 0
  for (n in seq_len(plan$warmup + plan$draws * plan$thin)) {
    warming <- n <= plan$warmup
    move <- iterate(model, stack, plan, metric, at, exp(if (warming) tuner$log_step else tuner$log_mean))
    at <- move$at
    gradients <- gradients + move$taken
    if (warming) {
      tuner <- tuner_after(tuner, move$probability, plan$adapt_delta)
      seen <- seen + 1
      if (seen == 1) mean <- at[c("slope", "p", "m")]
      mean <- list(slope = mean$slope + (at$slope - mean$slope) / seen, p = mean$p + (at$p - mean$p) / seen, m = mean$m + (at$m - mean$m) / seen)
      if (n %in% updates) {
        metric <- metric_at(stack, c(mean, list(q = mixture(stack, mean$p, mean$m))))
        tuner <- tuner_at(exp(tuner$log_mean))
        seen <- 0
      }
    } else {
      accepted <- accepted + move$probability
      divergences <- divergences + move$divergent
      if ((n - plan$warmup) %% plan$thin == 0) {
        draw <- (n - plan$warmup) / plan$thin
        p[draw, ] <- at$p
        density[draw] <- at$density
        matrices <- matrices + at$m
      }
    }
    if (n %% 50 == 0) tell(n)
  }
  list(
    p = p, density = density, matrices = as.vector(t(matrices)), z = at$z, seeds = .Random.seed[2:7],
    acceptance = accepted / (plan$draws * plan$thin), step_size = exp(tuner$log_mean),
    divergences = divergences, gradients = gradients
  )
}
