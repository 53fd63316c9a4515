#ifndef SWITCHYARD_METRIC_H
#define SWITCHYARD_METRIC_H

#include "model.h"
#include "stream.h"

/* A mass matrix that knows which directions the counts hold fast: I + transpose(J) W J, the prior's precision plus the
   counts' expected information about q at a reference point. Its inverse is applied by Woodbury's identity, so a step
   costs little more than a gradient. */
typedef struct {
  const model *md;
  point at;         /* the reference */
  double *weight; /* square root of W, by rows */
  double *inner;  /* inverse of (inverse of W + J transpose(J)) */
  double *y, *z;  /* scratch, rows */
  double *v;      /* scratch, size */
} metric;

metric metric_new(const model *md); /* memory by R_alloc: only from R's thread */
void metric_update(metric *mt);     /* after `at` was changed */
void metric_velocity(metric *mt, const double *momentum, double *velocity);
void metric_momentum(metric *mt, stream *random, double *momentum);

#endif
