vacalibration <- function(va_data = NULL, age_group = NULL, country = NULL, calibmodel.type = "Mmatprior") NULL
