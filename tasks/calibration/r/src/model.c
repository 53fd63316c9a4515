#include "model.h"

#include <R.h>
#include <math.h>
#include <string.h>

point point_new(const model *md) {
  size_t c = (size_t)md->causes, k = (size_t)md->algorithms;
  point at;
  at.slope = (double *)R_alloc((size_t)md->dim, sizeof(double));
  at.p = (double *)R_alloc(c, sizeof(double));
  at.m = (double *)R_alloc(k * c * c, sizeof(double));
  at.q = (double *)R_alloc(k * c, sizeof(double));
  memcpy(at.m, md->fixed, k * c * c * sizeof(double));
  return at;
}

/* log g and its slope at z: cubic between the knots, straight beyond them. */
static double transform(const model *md, int d, double z, double *slope) {
  const double *table = md->table + (size_t)d * md->knots * 2;
  const double at = (z - md->first) * md->per_unit;
  if (!(at > 0)) {
    *slope = table[1];
    return table[0] + table[1] * (z - md->first);
  }
  if (at >= md->knots - 1) {
    const double *last = table + 2 * (md->knots - 1);
    *slope = last[1];
    return last[0] + last[1] * (z - md->first - (md->knots - 1) * md->spacing);
  }
  const int cell = (int)at;
  const double *knot = table + 2 * cell;
  const double t = at - cell, rise = knot[2] - knot[0];
  const double a = knot[1] * md->spacing - rise, b = rise - knot[3] * md->spacing;
  *slope = (rise + (1 - 2 * t) * (a * (1 - t) + b * t) + t * (1 - t) * (b - a)) * md->per_unit;
  return knot[0] + t * rise + t * (1 - t) * (a * (1 - t) + b * t);
}

void model_point(const model *md, const double *z, double *g, point *at) {
  const int c = md->causes;
  for (int d = 0; d < md->dim; d++) g[d] = exp(transform(md, d, z[d], &at->slope[d]));
  double sum = 0;
  for (int i = 0; i < c; i++) sum += g[i];
  const double share = 1 / sum;
  for (int i = 0; i < c; i++) at->p[i] = g[i] * share;
  for (int row = 0; row < md->free_rows; row++) {
    double *m = at->m + ((size_t)md->row_algorithm[row] * c + md->row_cause[row]) * c;
    double total = 0;
    for (int d = md->row_start[row]; d < md->row_start[row + 1]; d++) total += g[d];
    const double part = 1 / total;
    for (int d = md->row_start[row]; d < md->row_start[row + 1]; d++) m[md->column[d]] = g[d] * part;
  }
  model_mix(md, at);
}

void model_mix(const model *md, point *at) {
  const int c = md->causes;
  for (int k = 0; k < md->algorithms; k++) {
    double *q = at->q + (size_t)k * c;
    memset(q, 0, (size_t)c * sizeof(double));
    for (int i = 0; i < c; i++) {
      const double *m = at->m + ((size_t)k * c + i) * c;
      for (int j = 0; j < c; j++) q[j] += at->p[i] * m[j];
    }
  }
}

double model_density(const model *md, const double *z, const point *at) {
  double density = 0;
  for (int d = 0; d < md->dim; d++) density -= 0.5 * z[d] * z[d];
  const int n = md->algorithms * md->causes;
  for (int kj = 0; kj < n; kj++) {
    if (md->counts[kj] > 0) density += md->counts[kj] * log(at->q[kj]);
  }
  return ISNAN(density) ? R_NegInf : density;
}

void model_gradient(const model *md, const double *z, const point *at, double *score, double *gradient) {
  const int n = md->algorithms * md->causes;
  for (int kj = 0; kj < n; kj++) score[kj] = md->counts[kj] > 0 ? md->counts[kj] / at->q[kj] : 0;
  model_pull(md, at, score, gradient);
  for (int d = 0; d < md->dim; d++) gradient[d] -= z[d];
}

void model_pull(const model *md, const point *at, const double *y, double *v) {
  const int c = md->causes;
  memset(v, 0, (size_t)c * sizeof(double));
  int row = 0;
  for (int k = 0; k < md->algorithms; k++) {
    const double *yk = y + (size_t)k * c;
    for (int i = 0; i < c; i++) {
      const double *m = at->m + ((size_t)k * c + i) * c;
      double h = 0;
      for (int j = 0; j < c; j++) h += m[j] * yk[j];
      v[i] += h;
      if (row < md->free_rows && md->row_algorithm[row] == k && md->row_cause[row] == i) {
        for (int d = md->row_start[row]; d < md->row_start[row + 1]; d++) {
          const int j = md->column[d];
          v[d] = at->slope[d] * at->p[i] * m[j] * (yk[j] - h);
        }
        row++;
      }
    }
  }
  double mean = 0;
  for (int i = 0; i < c; i++) mean += at->p[i] * v[i];
  for (int i = 0; i < c; i++) v[i] = at->slope[i] * at->p[i] * (v[i] - mean);
}

void model_push(const model *md, const point *at, const double *v, double *y) {
  const int c = md->causes;
  double mean = 0;
  for (int i = 0; i < c; i++) mean += at->p[i] * at->slope[i] * v[i];
  int row = 0;
  for (int k = 0; k < md->algorithms; k++) {
    double *yk = y + (size_t)k * c;
    for (int j = 0; j < c; j++) yk[j] = -mean * at->q[(size_t)k * c + j];
    for (int i = 0; i < c; i++) {
      const double *m = at->m + ((size_t)k * c + i) * c;
      double shift = at->slope[i] * v[i];
      if (row < md->free_rows && md->row_algorithm[row] == k && md->row_cause[row] == i) {
        for (int d = md->row_start[row]; d < md->row_start[row + 1]; d++) {
          const int j = md->column[d];
          const double moved = m[j] * at->slope[d] * v[d];
          shift -= moved;
          yk[j] += at->p[i] * moved;
        }
        row++;
      }
      shift *= at->p[i];
      for (int j = 0; j < c; j++) yk[j] += m[j] * shift;
    }
  }
}
