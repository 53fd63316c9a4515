#ifndef SWITCHYARD_DIAGNOSE_H
#define SWITCHYARD_DIAGNOSE_H

#include <Rinternals.h>

/* native_effective_size(draws): draws x chains, in the order in which they were drawn. */
SEXP native_effective_size(SEXP draws);

#endif
