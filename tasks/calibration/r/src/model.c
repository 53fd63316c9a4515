#define SUMS_IN_ANY_ORDER
#include "fast.h"
#include "model.h"

#include <R.h>
#include <math.h>
#include <string.h>

double *numbers(size_t n) {
  double *made = (double *)R_alloc(n, sizeof(double));
  memset(made, 0, n * sizeof(double));
  return made;
}

point point_new(const model *md) {
  const size_t cells = (size_t)md->algorithms * md->causes * md->width;
  point at = {numbers((size_t)md->size), numbers((size_t)md->width), numbers(cells), numbers((size_t)md->rows)};
  memcpy(at.m, md->fixed, cells * sizeof(double));
  return at;
}

INLINED void shares_of_width(const double *restrict g, double *restrict share, const int w) {
  double sum = 0;
  for (int j = 0; j < w; j++) sum += g[j];
  const double part = 1 / sum;
  for (int j = 0; j < w; j++) share[j] = g[j] * part;
}

INLINED void mix_of_width(const model *md, point *at, const int w) {
  for (int k = 0; k < md->algorithms; k++) {
    double *restrict q = at->q + k * w;
    const double *restrict m = at->m + (size_t)k * md->causes * w;
    for (int j = 0; j < w; j++) q[j] = 0;
    for (int i = 0; i < md->causes; i++, m += w) {
      for (int j = 0; j < w; j++) q[j] += at->p[i] * m[j];
    }
  }
}

INLINED void point_of_width(const model *md, const double *restrict g, point *at, const int w) {
  shares_of_width(g, at->p, w);
  for (int row = 0; row < md->algorithms * md->causes; row++) {
    const int free = md->free_row[row];
    if (free >= 0) shares_of_width(g + (1 + free) * w, at->m + (size_t)row * w, w);
  }
  mix_of_width(md, at, w);
}

INLINED void pull_of_width(const model *md, const point *at, const double *restrict y, double *restrict v, const int w) {
  double felt[MAX_WIDTH] = {0};
  for (int k = 0, row = 0; k < md->algorithms; k++) {
    const double *restrict yk = y + k * w;
    for (int i = 0; i < md->causes; i++, row++) {
      const double *restrict m = at->m + (size_t)row * w;
      double h = 0;
      for (int j = 0; j < w; j++) h += m[j] * yk[j];
      felt[i] += h;
      const int free = md->free_row[row];
      if (free < 0) continue;
      const double *restrict slope = at->slope + (1 + free) * w;
      double *restrict to = v + (1 + free) * w;
      for (int j = 0; j < w; j++) to[j] = slope[j] * at->p[i] * m[j] * (yk[j] - h);
    }
  }
  double mean = 0;
  for (int i = 0; i < w; i++) mean += at->p[i] * felt[i];
  for (int i = 0; i < w; i++) v[i] = at->slope[i] * at->p[i] * (felt[i] - mean);
}

INLINED void push_of_width(const model *md, const point *at, const double *restrict v, double *restrict y, const int w) {
  double mean = 0;
  for (int i = 0; i < w; i++) mean += at->p[i] * at->slope[i] * v[i];
  for (int k = 0, row = 0; k < md->algorithms; k++) {
    double *restrict yk = y + k * w;
    const double *restrict q = at->q + k * w;
    for (int j = 0; j < w; j++) yk[j] = -mean * q[j];
    for (int i = 0; i < md->causes; i++, row++) {
      const double *restrict m = at->m + (size_t)row * w;
      double shift = at->slope[i] * v[i];
      const int free = md->free_row[row];
      if (free < 0) {
        for (int j = 0; j < w; j++) yk[j] += at->p[i] * shift * m[j];
        continue;
      }
      const double *restrict slope = at->slope + (1 + free) * w;
      const double *restrict from = v + (1 + free) * w;
      for (int j = 0; j < w; j++) shift -= m[j] * slope[j] * from[j];
      for (int j = 0; j < w; j++) yk[j] += at->p[i] * m[j] * (slope[j] * from[j] + shift);
    }
  }
}

CLONED static void point_from(const model *md, const double *g, point *at) { BY_WIDTH(md->width, point_of_width, md, g, at); }
CLONED void model_mix(const model *md, point *at) { BY_WIDTH(md->width, mix_of_width, md, at); }
CLONED void model_pull(const model *md, const point *at, const double *y, double *v) {
  BY_WIDTH(md->width, pull_of_width, md, at, y, v);
}
CLONED void model_push(const model *md, const point *at, const double *v, double *y) {
  BY_WIDTH(md->width, push_of_width, md, at, v, y);
}

void model_point(const model *md, const double *z, double *g, point *at) {
  model_transform(md, z, g, at->slope);
  point_from(md, g, at);
}

CLONED double dot(const double *restrict a, const double *restrict b, int n) {
  double sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

double model_density(const model *md, const double *z, const point *at) {
  double density = -0.5 * dot(z, z, md->size);
  for (int kj = 0; kj < md->rows; kj++) {
    if (md->counts[kj] > 0) density += md->counts[kj] * log(at->q[kj]);
  }
  return ISNAN(density) ? R_NegInf : density;
}

CLONED void model_gradient(const model *md, const double *z, const point *at, double *score, double *gradient) {
  for (int kj = 0; kj < md->rows; kj++) score[kj] = md->counts[kj] > 0 ? md->counts[kj] / at->q[kj] : 0;
  model_pull(md, at, score, gradient);
  for (int d = 0; d < md->size; d++) gradient[d] -= z[d];
}
