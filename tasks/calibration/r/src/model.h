#ifndef SWITCHYARD_MODEL_H
#define SWITCHYARD_MODEL_H

#include <stddef.h>

#define MAX_WIDTH 32 /* 25 causes, padded */

/* The posterior on coordinates whose prior is standard normal: every Dirichlet vector is g / sum(g) with independent
   gamma variables g, and each log g is a function of its own normal coordinate z, given as a table.

   Whatever is indexed by VA cause is padded to `width`, so that inner loops have one length and no branches: vectors of
   coordinates have one block of `width` for p and one for each sampled row of the matrices. Padding, and columns out of a
   row's support, are 0 in every vector. */
typedef struct {
  int causes, algorithms, width;
  int size;             /* width x (1 + free_rows): length of a vector of coordinates */
  int rows;             /* width x algorithms: length of what is indexed by algorithm and VA cause */
  int dim;              /* coordinates that are not padding */
  const int *slot;      /* dim: where each lies, in the order of R/model.R */
  const double *table;  /* (dim + 1) x knots x 2: log g and its slope by z, see R/model.R; the last is for padding */
  const int *entry;     /* size: where each coordinate's table begins */
  const double *active; /* size: 1, or 0 for padding */
  int knots;
  double first, spacing, per_unit; /* of the knots; 1 / spacing */
  const double *counts; /* rows */
  double *totals;       /* algorithms */
  const double *fixed;  /* algorithms x causes x width: the rows that are not sampled; 0 elsewhere */
  int free_rows;
  const int *free_row;  /* algorithms x causes: which sampled row this is, or -1 */
} model;

/* A point in the space of p and the matrices M (true cause x VA cause), and q = transpose(M) p. */
typedef struct {
  double *slope; /* size: derivative of log g by z */
  double *p;     /* width */
  double *m;     /* algorithms x causes x width */
  double *q;     /* rows */
} point;

double *numbers(size_t n);       /* zeros; memory by R_alloc: only from R's thread */
point point_new(const model *md); /* likewise */

/* Fill g and the slopes of log g (size each) from z. */
void model_transform(const model *md, const double *z, double *g, double *slope);

/* Fill `at` from z. `g` (size) is scratch. */
void model_point(const model *md, const double *z, double *g, point *at);

/* Fill the q of a point whose p and m are given. */
void model_mix(const model *md, point *at);

/* Log posterior density up to a constant at z, whose point is given; -Inf where a seen cause has no probability. */
double model_density(const model *md, const double *z, const point *at);

/* Gradient of the log density. `score` (rows) is scratch. */
void model_gradient(const model *md, const double *z, const point *at, double *score, double *gradient);

/* With J the derivative of q by z at `at`: J v, and transpose(J) y. */
void model_push(const model *md, const point *at, const double *v, double *y);
void model_pull(const model *md, const point *at, const double *y, double *v);

/* sum(a * b) over n, a multiple of 4. */
double dot(const double *a, const double *b, int n);

#endif
