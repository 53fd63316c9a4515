#ifndef SWITCHYARD_CHAIN_H
#define SWITCHYARD_CHAIN_H

#include "metric.h"
#include "model.h"
#include "stream.h"

typedef struct {
  int warmup, draws, thin, max_steps;
  double target;   /* acceptance aimed at while the step size is tuned */
  double duration; /* longest trajectory, in the metric's units */
} plan;

/* Where one chain's results go; memory of R, written by one thread only. */
typedef struct {
  double *p;        /* draws x causes, column by column */
  double *density;  /* draws */
  double *matrices; /* algorithms x causes x causes: sum over kept draws */
  double *z;        /* dim: start on entry, end on return */
  double acceptance, step_size, gradients;
  int divergences;
  int done; /* iterations so far; read by R's thread while the chain runs */
} record;

typedef struct {
  const model *md;
  const plan *pl;
  stream random;
  metric mt;
  point here, there;
  point mean; /* of the points of one warm-up window: the metric's next reference */
  double *z, *z_new, *g, *gradient, *gradient_new, *momentum, *velocity, *score;
} chain;

chain chain_new(const model *md, const plan *pl); /* memory by R_alloc: only from R's thread */

/* Run one chain from record->z; returns early when *stop is set. Calls nothing of R but pure functions. */
void chain_run(chain *ch, record *rec, const int *stop);

#endif
