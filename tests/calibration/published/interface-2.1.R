vacalibration <- function(va_data = NULL, age_group = NULL, country = NULL, Mmat = NULL, Mmat_type = "prior",
                          studycause_map = NULL, donotcalib = NULL, donotcalib_type = "learn", nocalib.threshold = 0.1,
                          path_correction = TRUE, ensemble = NULL, shrink_strength = NULL, lambda_eBayes = 0,
                          nMCMC = 10000, nBurn = 5000, nThin = 1, nChain = 1, nCore = 1, adapt_delta_stan = .9,
                          refresh.stan = NULL, seed = 1, verbose = TRUE, saveoutput = FALSE, output_filename = NULL,
                          output_dir = NULL, plot_it = TRUE) {
  if (plot_it) stop("a figure was asked for")
  answer <- stand_in(va_data, Mmat, Mmat_type, donotcalib, donotcalib_type == "learn", nocalib.threshold,
                     path_correction, isTRUE(ensemble), nMCMC, nBurn, nChain, seed, verbose)
  if (!saveoutput) answer
}
