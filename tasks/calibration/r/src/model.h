#ifndef SWITCHYARD_MODEL_H
#define SWITCHYARD_MODEL_H

/* The posterior on coordinates whose prior is standard normal: every Dirichlet vector is g / sum(g) with independent
   gamma variables g, and each log g is a function of its own normal coordinate z, given as a table. The first `causes`
   coordinates are p, then follow the free rows of each algorithm's matrix, each over that row's support. */
typedef struct {
  int causes, algorithms, dim;
  const double *table;  /* dim x knots x 2: log g and its slope by z, see R/model.R */
  int knots;
  double first, spacing, per_unit; /* of the knots; 1 / spacing */
  const double *counts; /* algorithms x causes, row by row */
  double *totals;       /* algorithms */
  const double *fixed;  /* algorithms x causes x causes: the rows that are not sampled; 0 elsewhere */
  int free_rows;
  int *row_algorithm, *row_cause; /* free_rows */
  int *row_start;                 /* free_rows + 1: where each row's coordinates begin */
  int *column;                    /* dim: the VA cause of each coordinate of a free row */
} model;

/* A point in the space of p and the matrices M (true cause x VA cause), and q = transpose(M) p. */
typedef struct {
  double *slope; /* dim: derivative of log g by z */
  double *p; /* causes */
  double *m; /* algorithms x causes x causes */
  double *q; /* algorithms x causes */
} point;

point point_new(const model *md); /* memory by R_alloc: only from R's thread */

/* Fill `at` from z. `g` (dim) is scratch. */
void model_point(const model *md, const double *z, double *g, point *at);

/* Fill the q of a point whose p and m are given. */
void model_mix(const model *md, point *at);

/* Log posterior density up to a constant at z, whose point is given; -Inf where a seen cause has no probability. */
double model_density(const model *md, const double *z, const point *at);

/* Gradient of the log density. `score` (algorithms x causes) is scratch. */
void model_gradient(const model *md, const double *z, const point *at, double *score, double *gradient);

/* With J the derivative of q by z at `at`: J v, and transpose(J) y. */
void model_push(const model *md, const point *at, const double *v, double *y);
void model_pull(const model *md, const point *at, const double *y, double *v);

#endif
