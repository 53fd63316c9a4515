# Running chains: random numbers, starting points, and the choice between C and plain R.

# Seeds of the chains' streams, one column each: R's generator "L'Ecuyer-CMRG" and its own way from stream to stream.
chain_seeds <- function(seed, chains) {
  with_generator({
    set.seed(seed)
    state <- .Random.seed
    vapply(seq_len(chains), function(chain) {
      state <<- nextRNGStream(state)
      state[2:7]
    }, integer(6))
  })
}

# Evaluate `code` under L'Ecuyer's generator and leave the session's own as it was.
with_generator <- function(code) {
  kinds <- RNGkind()
  before <- get0(".Random.seed", globalenv(), inherits = FALSE)
  on.exit({
    RNGkind(kinds[1], kinds[2], kinds[3])
    if (is.null(before)) rm(".Random.seed", envir = globalenv()) else assign(".Random.seed", before, globalenv())
  })
  RNGkind("L'Ecuyer-CMRG", "Inversion", "Rejection")
  code
}

# Inside with_generator: go on with the stream that `seed` (six integers) names.
use_stream <- function(seed) assign(".Random.seed", c(RNGkind_code(), seed), globalenv())
RNGkind_code <- function() get(".Random.seed", globalenv())[1]

# Starting points, drawn from the prior, one column a chain and each from its chain's own stream; the streams' new seeds
# come back with them.
chain_starts <- function(model, seeds) {
  with_generator({
    set.seed(1)
    starts <- vapply(seq_len(ncol(seeds)), function(chain) {
      use_stream(seeds[, chain])
      drawn <- rnorm(model$dim)
      seeds[, chain] <<- .Random.seed[2:7]
      drawn
    }, numeric(model$dim))
  })
  list(z = matrix(starts, model$dim), seeds = seeds)
}

# Whether the package was built with its C code.
has_native <- function() "switchyardcalib" %in% names(getLoadedDLLs())

# Draw from the posterior. `plan`: warmup, draws, thin, max_steps, adapt_delta, duration. `tell(done)` hears now and then
# how many iterations are done over all chains. Returns p (draws x causes x chains), density (draws x chains), matrices
# (posterior means, true x VA x algorithm), divergences, and where a continued run starts.
sample_posterior <- function(model, plan, starts, seeds, cores = 1L, tell = function(done) NULL, in_r = FALSE) {
  chains <- ncol(starts)
  answer <- if (in_r || !has_native()) {
    reference_chains(model, plan, starts, seeds, tell)
  } else {
    .Call(sample_chains, model, plan, starts, seeds, as.integer(cores), tell)
  }
  if (is.null(answer)) stop("interrupted")
  cells <- rowMeans(matrix(answer$matrices, ncol = chains)) / plan$draws
  answer$p <- array(answer$p, c(plan$draws, model$causes, chains))
  answer$density <- matrix(answer$density, plan$draws)
  answer$matrices <- aperm(array(cells, c(model$causes, model$causes, model$algorithms)), c(2, 1, 3))
  answer
}
