vacalibration <- function(va_data = NULL, age_group = NULL, country = NULL, missmat_type = "prior", studycause_map = NULL,
                          missmat = NULL, donotcalib = NULL, donotcalib_type = "learn", nocalib.threshold = 0.1,
                          path_correction = TRUE, ensemble = NULL, pshrink_strength = NULL, nMCMC = 5000, nBurn = 5000,
                          nThin = 1, nChain = 1, nCore = 1, adapt_delta_stan = .9, refresh_stan = NULL, seed = 1,
                          verbose = TRUE, saveoutput = FALSE, output_filename = NULL, output_dir = NULL) {
  answer <- stand_in(va_data, missmat, missmat_type, donotcalib, donotcalib_type == "learn", nocalib.threshold,
                     path_correction, isTRUE(ensemble), nMCMC, nBurn, nChain, seed, verbose)
  if (!saveoutput) answer
}
