#include "stream.h"

#include <Rmath.h>
#include <stdint.h>

#define M1 4294967087LL
#define M2 4294944443LL
#define TO_UNIT 2.328306549295727688e-10
#define BIG 134217728.0 /* R's two-step uniform for normals by inversion */

double stream_uniform(stream *random) {
  unsigned int *s = random->s;
  int64_t p1 = (1403580LL * s[1] - 810728LL * s[0]) % M1;
  if (p1 < 0) p1 += M1;
  s[0] = s[1];
  s[1] = s[2];
  s[2] = (unsigned int)p1;
  int64_t p2 = (527612LL * s[5] - 1370589LL * s[3]) % M2;
  if (p2 < 0) p2 += M2;
  s[3] = s[4];
  s[4] = s[5];
  s[5] = (unsigned int)p2;
  return (double)(p1 > p2 ? p1 - p2 : p1 - p2 + M1) * TO_UNIT;
}

double stream_normal(stream *random) {
  double u = stream_uniform(random);
  u = (int)(BIG * u) + stream_uniform(random);
  return qnorm5(u / BIG, 0.0, 1.0, 1, 0);
}
