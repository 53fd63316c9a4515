#ifndef SWITCHYARD_FAST_H
#define SWITCHYARD_FAST_H

/* Loops of a few numbers each take all the time there is, so they are compiled for vectors: where a file allows it, sums
   are taken in another order, and where the compiler can, a second version for newer processors is chosen when the package
   is loaded; NUMBERS_ONLY is for files that need not see what is no number. Numbers differ in their last digits between machines, never between runs on one. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3", "no-trapping-math", "no-math-errno")
#ifdef SUMS_IN_ANY_ORDER
#pragma GCC optimize("associative-math", "no-signed-zeros")
#endif
#ifdef NUMBERS_ONLY
#pragma GCC optimize("finite-math-only", "no-signed-zeros")
#endif
#endif

#include <stdlib.h> /* says whether the C library can choose between versions */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define CLONED __attribute__((target_clones("avx2", "default")))
#else
#define CLONED
#endif

/* Into each caller, so that it gets the caller's version. */
#define INLINED static inline __attribute__((always_inline))

/* Call `f(..., width)` with the usual widths as constants. */
#define BY_WIDTH(width, f, ...)          \
  do {                                   \
    if ((width) == 4) f(__VA_ARGS__, 4); \
    else if ((width) == 8) f(__VA_ARGS__, 8); \
    else if ((width) == 12) f(__VA_ARGS__, 12); \
    else f(__VA_ARGS__, (width));        \
  } while (0)

#endif
