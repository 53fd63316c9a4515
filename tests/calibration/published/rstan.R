# A stand-in for rstan: the two functions that our adapter calls, on the "fits" of the stand-in beside it.

extract <- function(object, pars, permuted = TRUE, inc_warmup = FALSE) {
  if (permuted) stop("the stand-in hands out draws in their order only")
  drawn <- cbind(object$p, object$density)
  array(drawn, c(nrow(drawn), 1, ncol(drawn)), list(NULL, "chain:1", c(sprintf("p_calib[%d]", seq_len(ncol(object$p))), "lp__")))
}

get_sampler_params <- function(object, inc_warmup = TRUE) list(object$told)
