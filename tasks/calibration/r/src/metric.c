#include "fast.h"
#include "metric.h"

#include <R.h>
#include <math.h>
#include <string.h>

/* How much of the counts' information the mass matrix takes in. Taken whole, it holds small fractions as fast as the
   reference does, which mixes their tails badly; with this part the effective draws per gradient were most, over cases
   of 5 and 8 causes with one and three algorithms. */
#define TRUST 0.12

metric metric_new(const model *md) {
  const size_t n = (size_t)md->rows, size = (size_t)md->size;
  metric mt = {md, point_new(md), numbers(n), numbers(n * n), numbers(n), numbers(n), numbers(size)};
  return mt;
}

/* Replace the symmetric positive definite a (n x n) by its inverse, by Gauss and Jordan without pivots. */
static void invert(double *a, int n) {
  for (int s = 0; s < n; s++) {
    const double pivot = 1 / a[s * n + s];
    a[s * n + s] = 1;
    for (int j = 0; j < n; j++) a[s * n + j] *= pivot;
    for (int i = 0; i < n; i++) {
      if (i == s) continue;
      const double factor = a[i * n + s];
      a[i * n + s] = 0;
      for (int j = 0; j < n; j++) a[i * n + j] -= factor * a[s * n + j];
    }
  }
}

void metric_update(metric *mt) {
  const model *md = mt->md;
  const int n = md->rows;
  for (int kj = 0; kj < n; kj++) {
    const int is_padding = kj % md->width >= md->causes;
    mt->weight[kj] = is_padding ? 0 : sqrt(TRUST * md->totals[kj / md->width] / fmax(mt->at.q[kj], 1e-10));
  }
  for (int kj = 0; kj < n; kj++) {
    memset(mt->y, 0, (size_t)n * sizeof(double));
    mt->y[kj] = 1;
    model_pull(md, &mt->at, mt->y, mt->v);
    model_push(md, &mt->at, mt->v, mt->inner + (size_t)kj * n);
    mt->inner[(size_t)kj * n + kj] += 1 / fmax(mt->weight[kj] * mt->weight[kj], 1e-10);
  }
  invert(mt->inner, n);
}

CLONED static void multiply(const double *restrict matrix, const double *restrict y, double *restrict z, int n) {
  memset(z, 0, (size_t)n * sizeof(double));
  for (int s = 0; s < n; s++, matrix += n) {
    for (int i = 0; i < n; i++) z[i] += matrix[i] * y[s];
  }
}

CLONED static void subtract(const double *restrict a, const double *restrict b, double *restrict difference, int n) {
  for (int i = 0; i < n; i++) difference[i] = a[i] - b[i];
}

void metric_velocity(metric *mt, const double *momentum, double *velocity) {
  const model *md = mt->md;
  model_push(md, &mt->at, momentum, mt->y);
  multiply(mt->inner, mt->y, mt->z, md->rows);
  model_pull(md, &mt->at, mt->z, mt->v);
  subtract(momentum, mt->v, velocity, md->size);
}

void metric_momentum(metric *mt, stream *random, double *momentum) {
  const model *md = mt->md;
  for (int k = 0; k < md->algorithms; k++) {
    double *y = mt->y + k * md->width;
    const double *weight = mt->weight + k * md->width;
    for (int j = 0; j < md->width; j++) y[j] = j < md->causes ? weight[j] * stream_normal(random) : 0;
  }
  model_pull(md, &mt->at, mt->y, momentum);
  for (int d = 0; d < md->dim; d++) momentum[md->slot[d]] += stream_normal(random);
}
