/* Effective size of draws, lag by lag until the sum is over: see R/diagnostics.R, which says the same by Fourier transform. */
#define SUMS_IN_ANY_ORDER
#include "fast.h"

#include "diagnose.h"

#include <R.h>
#include <math.h>

CLONED static double product(const double *restrict a, const double *restrict b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

/* Mean over the chains of their autocovariance at `lag`; `moved` are the draws less their chain's mean. */
static double covariance(const double *moved, int n, int chains, int lag) {
  double sum = 0;
  for (int c = 0; c < chains; c++) sum += product(moved + (size_t)c * n, moved + (size_t)c * n + lag, n - lag);
  return sum / n / chains;
}

static double variance(const double *x, int n) {
  double mean = 0, sum = 0;
  for (int i = 0; i < n; i++) mean += x[i] / n;
  for (int i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
  return n > 1 ? sum / (n - 1) : 0;
}

SEXP native_effective_size(SEXP draws) {
  const int n = nrows(draws), chains = ncols(draws);
  double *moved = (double *)R_alloc((size_t)n * chains, sizeof(double)), *means = (double *)R_alloc((size_t)chains, sizeof(double));
  for (int c = 0; c < chains; c++) {
    const double *chain = REAL(draws) + (size_t)c * n;
    means[c] = 0;
    for (int i = 0; i < n; i++) means[c] += chain[i] / n;
    for (int i = 0; i < n; i++) moved[(size_t)c * n + i] = chain[i] - means[c];
  }
  const double within = covariance(moved, n, chains, 0) * n / (n - 1);
  const double pooled = within * (n - 1) / n + variance(means, chains);
  double sum = 0, least = 0, tail = 0;
  for (int pair = 0; pair < n / 2; pair++) {
    const double even = pair ? 1 - (within - covariance(moved, n, chains, 2 * pair)) / pooled : 1;
    const double both = even + 1 - (within - covariance(moved, n, chains, 2 * pair + 1)) / pooled;
    if (both < 0) tail = fmax(0, even);
    if (both < 0 && pair) break;
    least = pair ? fmin(least, both) : both;
    sum += least;
    if (both < 0) break;
  }
  const double size = (double)n * chains;
  return ScalarReal(size / fmax(-1 + 2 * sum + tail, 1 / log10(size)));
}
