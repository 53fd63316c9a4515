#define NUMBERS_ONLY /* a trajectory that has left them is seen by its z, in model_density */
#include "fast.h"
#include "model.h"

#include <stdint.h>

#define BLOCK 64 /* coordinates at a time: what is looked up for them stays in the nearest cache */

/* exp(x) to about one unit in the last place, as the loop of a vector; 1e-300 for whatever is smaller. */
INLINED double exponential(double x) {
  double held = x > -690 ? x : -690;
  held = held < 700 ? held : 700;
  const int whole = (int)(held * 1.4426950408889634074 + (held < 0 ? -0.5 : 0.5));
  const double n = whole;
  const double r = (held - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
  double sum = 1.0 / 479001600;
  sum = sum * r + 1.0 / 39916800;
  sum = sum * r + 1.0 / 3628800;
  sum = sum * r + 1.0 / 362880;
  sum = sum * r + 1.0 / 40320;
  sum = sum * r + 1.0 / 5040;
  sum = sum * r + 1.0 / 720;
  sum = sum * r + 1.0 / 120;
  sum = sum * r + 1.0 / 24;
  sum = sum * r + 1.0 / 6;
  sum = sum * r + 0.5;
  sum = sum * r + 1;
  sum = sum * r + 1;
  union { int64_t bits; double number; } power = {((int64_t)whole + 1023) << 52};
  return sum * power.number;
}

/* Between the knots log g is cubic, with the knots' values and slopes; beyond the last ones it is straight. */
CLONED void model_transform(const model *md, const double *restrict z, double *restrict g, double *restrict slope) {
  const double first = md->first, per_unit = md->per_unit, spacing = md->spacing;
  const int last = md->knots - 2;
  double from[BLOCK], steep_from[BLOCK], to[BLOCK], steep_to[BLOCK], place[BLOCK];
  for (int begin = 0; begin < md->size; begin += BLOCK) {
    const int n = md->size - begin < BLOCK ? md->size - begin : BLOCK;
    for (int d = 0; d < n; d++) {
      const double at = (z[begin + d] - first) * per_unit;
      int cell = (int)at;
      cell = cell > 0 ? cell : 0;
      cell = cell < last ? cell : last;
      const double *knot = md->table + md->entry[begin + d] + 2 * cell;
      from[d] = knot[0];
      steep_from[d] = knot[1];
      to[d] = knot[2];
      steep_to[d] = knot[3];
      place[d] = at - cell;
    }
    const double *restrict active = md->active + begin;
    double *restrict g_here = g + begin, *restrict slope_here = slope + begin;
    for (int d = 0; d < n; d++) {
      double t = place[d] > 0 ? place[d] : 0;
      t = t < 1 ? t : 1;
      const double rise = to[d] - from[d];
      const double a = steep_from[d] * spacing - rise, b = rise - steep_to[d] * spacing;
      const double bend = a * (1 - t) + b * t;
      const double steep = rise + (1 - 2 * t) * bend + t * (1 - t) * (b - a);
      slope_here[d] = active[d] * steep * per_unit;
      g_here[d] = active[d] * exponential(from[d] + t * rise + t * (1 - t) * bend + (place[d] - t) * steep);
    }
  }
}
