/* Hamiltonian Monte Carlo (R. M. Neal, in: Handbook of MCMC, 2011) with a mass matrix from the counts' information,
   trajectories of random length, and dual averaging of the step size (M. D. Hoffman, A. Gelman, JMLR 15, 2014).
   R/reference.R holds the same algorithm in R, number for number; change both. */
#include "chain.h"

#include "fast.h"

#include <R.h>
#include <math.h>
#include <string.h>

#define FIRST_STEP 0.5
#define DIVERGENT 1000.0 /* loss of energy, as in Stan */
static const double UPDATES[] = {0.05, 0.15, 0.4, 0.8}; /* parts of the warm-up after which the metric is renewed */
#define N_UPDATES 4

chain chain_new(const model *md, const plan *pl) {
  const size_t dim = (size_t)md->size;
  chain ch;
  ch.md = md;
  ch.pl = pl;
  ch.mt = metric_new(md);
  ch.here = point_new(md);
  ch.there = point_new(md);
  ch.mean = point_new(md);
  ch.z = numbers(dim);
  ch.z_new = numbers(dim);
  ch.g = numbers(dim);
  ch.gradient = numbers(dim);
  ch.gradient_new = numbers(dim);
  ch.momentum = numbers(dim);
  ch.velocity = numbers(dim);
  ch.score = numbers((size_t)md->rows);
  return ch;
}

static void average(const model *md, point *mean, const point *at, int n) {
  const int c = md->causes, cells = md->algorithms * c * md->width;
  const double w = 1.0 / n;
  for (int d = 0; d < md->size; d++) mean->slope[d] += w * (at->slope[d] - mean->slope[d]);
  for (int i = 0; i < c; i++) mean->p[i] += w * (at->p[i] - mean->p[i]);
  for (int i = 0; i < cells; i++) mean->m[i] += w * (at->m[i] - mean->m[i]);
}

static void copy(const model *md, point *to, const point *from) {
  const size_t cells = (size_t)md->algorithms * md->causes * md->width;
  memcpy(to->slope, from->slope, (size_t)md->size * sizeof(double));
  memcpy(to->p, from->p, (size_t)md->width * sizeof(double));
  memcpy(to->m, from->m, cells * sizeof(double));
}

/* Make `from` the metric's reference. */
static void refer(metric *mt, const point *from) {
  copy(mt->md, &mt->at, from);
  model_mix(mt->md, &mt->at);
  metric_update(mt);
}

/* a += w * b */
CLONED static void add(double *restrict a, double w, const double *restrict b, int n) {
  for (int i = 0; i < n; i++) a[i] += w * b[i];
}

#define SWAP(type, a, b) do { type swap_ = (a); (a) = (b); (b) = swap_; } while (0)

/* One trajectory; returns the probability of acceptance and moves there by chance. */
static double iterate(chain *ch, double step, double *density, record *rec, int *divergent) {
  const model *md = ch->md;
  const int dim = md->size;
  int steps = (int)ceil(ch->pl->duration * stream_uniform(&ch->random) / step);
  if (steps > ch->pl->max_steps) steps = ch->pl->max_steps;
  if (steps < 1) steps = 1;
  metric_momentum(&ch->mt, &ch->random, ch->momentum);
  metric_velocity(&ch->mt, ch->momentum, ch->velocity);
  const double energy = 0.5 * dot(ch->momentum, ch->velocity, dim) - *density;
  memcpy(ch->z_new, ch->z, (size_t)dim * sizeof(double));
  memcpy(ch->gradient_new, ch->gradient, (size_t)dim * sizeof(double));
  for (int s = 0; s < steps; s++) {
    add(ch->momentum, 0.5 * step, ch->gradient_new, dim);
    metric_velocity(&ch->mt, ch->momentum, ch->velocity);
    add(ch->z_new, step, ch->velocity, dim);
    model_point(md, ch->z_new, ch->g, &ch->there);
    model_gradient(md, ch->z_new, &ch->there, ch->score, ch->gradient_new);
    rec->gradients += 1;
    add(ch->momentum, 0.5 * step, ch->gradient_new, dim);
  }
  const double density_new = model_density(md, ch->z_new, &ch->there);
  metric_velocity(&ch->mt, ch->momentum, ch->velocity);
  double loss = 0.5 * dot(ch->momentum, ch->velocity, dim) - density_new - energy;
  if (ISNAN(loss)) loss = R_PosInf;
  *divergent = loss > DIVERGENT;
  const double probability = loss <= 0 ? 1 : exp(-loss);
  if (stream_uniform(&ch->random) < probability) {
    *density = density_new;
    SWAP(double *, ch->z, ch->z_new);
    SWAP(double *, ch->gradient, ch->gradient_new);
    SWAP(point, ch->here, ch->there);
  }
  return probability;
}

typedef struct {
  double log_step, log_mean, gap, centre;
  int n;
} tuner;

static void tuner_start(tuner *t, double step) {
  t->log_step = log(step);
  t->log_mean = 0;
  t->gap = 0;
  t->centre = log(2 * step);
  t->n = 0;
}

static void tuner_learn(tuner *t, double probability, double target) {
  t->n++;
  t->gap += (target - probability - t->gap) / (t->n + 10.0);
  t->log_step = t->centre - sqrt((double)t->n) / 0.05 * t->gap;
  const double w = pow(t->n, -0.75);
  t->log_mean += w * (t->log_step - t->log_mean);
}

static void keep(const chain *ch, record *rec, int draw, double density) {
  const int c = ch->md->causes, rows = ch->md->algorithms * c;
  for (int i = 0; i < c; i++) rec->p[draw + (size_t)i * ch->pl->draws] = ch->here.p[i];
  for (int row = 0; row < rows; row++) {
    for (int j = 0; j < c; j++) rec->matrices[row * c + j] += ch->here.m[row * ch->md->width + j];
  }
  rec->density[draw] = density;
}

void chain_run(chain *ch, record *rec, const int *stop) {
  const model *md = ch->md;
  const plan *pl = ch->pl;
  for (int d = 0; d < md->dim; d++) ch->z[md->slot[d]] = rec->z[d];
  model_point(md, ch->z, ch->g, &ch->here);
  double density = model_density(md, ch->z, &ch->here);
  model_gradient(md, ch->z, &ch->here, ch->score, ch->gradient);
  refer(&ch->mt, &ch->here);
  int update = 0, seen = 0, divergent = 0;
  double accepted = 0;
  tuner t;
  tuner_start(&t, FIRST_STEP);
  const int iterations = pl->warmup + pl->draws * pl->thin;
  for (int n = 1; n <= iterations; n++) {
    if (__atomic_load_n(stop, __ATOMIC_RELAXED)) return;
    const double step = n <= pl->warmup ? exp(t.log_step) : exp(t.log_mean);
    const double probability = iterate(ch, step, &density, rec, &divergent);
    if (n <= pl->warmup) {
      tuner_learn(&t, probability, pl->target);
      if (seen == 0) copy(md, &ch->mean, &ch->here);
      average(md, &ch->mean, &ch->here, ++seen);
      if (update < N_UPDATES && n == (int)(UPDATES[update] * pl->warmup)) {
        refer(&ch->mt, &ch->mean);
        tuner_start(&t, exp(t.log_mean));
        update++;
        seen = 0;
      }
    } else {
      accepted += probability;
      rec->divergences += divergent;
      if ((n - pl->warmup) % pl->thin == 0) keep(ch, rec, (n - pl->warmup) / pl->thin - 1, density);
    }
    __atomic_store_n(&rec->done, n, __ATOMIC_RELAXED);
  }
  for (int d = 0; d < md->dim; d++) rec->z[d] = ch->z[md->slot[d]];
  rec->acceptance = accepted / ((double)pl->draws * pl->thin);
  rec->step_size = exp(t.log_mean);
}
