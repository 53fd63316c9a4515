#ifndef SWITCHYARD_STREAM_H
#define SWITCHYARD_STREAM_H

/* One chain's random numbers: the generator that R calls "L'Ecuyer-CMRG" (P. L'Ecuyer, Operations Research 47(1), 1999,
   MRG32k3a) with normals by inversion, number for number as R draws them. R's own generator is one per process, so it
   cannot serve several chains at a time. */
typedef struct {
  unsigned int s[6];
} stream;

double stream_uniform(stream *random); /* in (0, 1) */
double stream_normal(stream *random);

#endif
