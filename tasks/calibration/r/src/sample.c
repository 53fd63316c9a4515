/* .Call's side: several chains, one thread each, while R's thread looks after interrupts and progress. */
#include "chain.h"
#include "diagnose.h"

#include <R.h>
#include <R_ext/Rdynload.h>
#include <R_ext/Utils.h>
#include <Rinternals.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define LOOK_NS 20000000L /* how often R's thread looks for an interrupt */
#define TELL_EVERY 10     /* looks between two calls of `tell` */

typedef struct {
  chain *chains;
  record *records;
  int n, next, finished, stop;
  pthread_mutex_t lock;
  pthread_cond_t changed;
} team;

static void *work(void *argument) {
  team *tm = (team *)argument;
  for (;;) {
    pthread_mutex_lock(&tm->lock);
    const int mine = tm->next < tm->n && !tm->stop ? tm->next++ : -1;
    pthread_mutex_unlock(&tm->lock);
    if (mine < 0) return NULL;
    chain_run(&tm->chains[mine], &tm->records[mine], &tm->stop);
    pthread_mutex_lock(&tm->lock);
    tm->finished++;
    pthread_cond_signal(&tm->changed);
    pthread_mutex_unlock(&tm->lock);
  }
}

static void look(void *nothing) {
  (void)nothing;
  R_CheckUserInterrupt();
}

static SEXP item(SEXP list, const char *name) {
  SEXP names = getAttrib(list, R_NamesSymbol);
  for (R_xlen_t i = 0; i < XLENGTH(list); i++)
    if (strcmp(CHAR(STRING_ELT(names, i)), name) == 0) return VECTOR_ELT(list, i);
  error("sample_chains: %s is missing", name);
}

/* `given` without padding, n rows of c, as n rows of w. */
static double *padded(const double *given, int n, int c, int w) {
  double *made = numbers((size_t)n * w);
  for (int row = 0; row < n; row++) memcpy(made + row * w, given + row * c, (size_t)c * sizeof(double));
  return made;
}

/* Where each coordinate of R's lies among blocks of `width`, and the tables of all places, padding included. */
static void lay_out(model *md, const int *row_start, const int *column, const double *table) {
  const size_t each = (size_t)md->knots * 2;
  int *slot = (int *)R_alloc((size_t)md->dim, sizeof(int)), *entry = (int *)R_alloc((size_t)md->size, sizeof(int));
  double *active = numbers((size_t)md->size), *tables = numbers((size_t)(md->dim + 1) * each);
  memcpy(tables, table, (size_t)md->dim * each * sizeof(double));
  for (int at = 0; at < md->size; at++) entry[at] = (int)(md->dim * each);
  for (int d = 0, row = -1; d < md->dim; d++) {
    while (row + 1 < md->free_rows && d >= row_start[row + 1]) row++;
    slot[d] = d < md->causes ? d : (1 + row) * md->width + column[d];
    entry[slot[d]] = (int)(d * each);
    active[slot[d]] = 1;
  }
  md->slot = slot;
  md->entry = entry;
  md->active = active;
  md->table = tables;
}

static model model_of(SEXP given) {
  model md;
  md.causes = asInteger(item(given, "causes"));
  md.algorithms = asInteger(item(given, "algorithms"));
  md.width = (md.causes + 3) / 4 * 4;
  if (md.width > MAX_WIDTH) error("sample_chains: %d causes are too many", md.causes);
  md.dim = asInteger(item(given, "dim"));
  md.knots = asInteger(item(given, "knots"));
  md.first = asReal(item(given, "first"));
  md.spacing = asReal(item(given, "spacing"));
  md.per_unit = 1 / md.spacing;
  md.free_rows = LENGTH(item(given, "row_cause"));
  md.size = md.width * (1 + md.free_rows);
  md.rows = md.width * md.algorithms;
  md.counts = padded(REAL(item(given, "counts")), md.algorithms, md.causes, md.width);
  md.fixed = padded(REAL(item(given, "fixed")), md.algorithms * md.causes, md.causes, md.width);
  int *free_row = (int *)R_alloc((size_t)md.algorithms * md.causes, sizeof(int));
  for (int row = 0; row < md.algorithms * md.causes; row++) free_row[row] = -1;
  const int *algorithm = INTEGER(item(given, "row_algorithm")), *cause = INTEGER(item(given, "row_cause"));
  for (int row = 0; row < md.free_rows; row++) free_row[algorithm[row] * md.causes + cause[row]] = row;
  md.free_row = free_row;
  lay_out(&md, INTEGER(item(given, "row_start")), INTEGER(item(given, "column")), REAL(item(given, "table")));
  md.totals = numbers((size_t)md.algorithms);
  for (int k = 0; k < md.algorithms; k++) {
    for (int j = 0; j < md.causes; j++) md.totals[k] += md.counts[k * md.width + j];
  }
  return md;
}

/* Tell R how many iterations are done, over all chains; FALSE where R was interrupted or failed meanwhile. */
static int tell_r(SEXP tell, const team *tm) {
  int done = 0, failed = 0;
  for (int i = 0; i < tm->n; i++) done += __atomic_load_n(&tm->records[i].done, __ATOMIC_RELAXED);
  SEXP call = PROTECT(lang2(tell, ScalarInteger(done)));
  R_tryEvalSilent(call, R_GlobalEnv, &failed);
  UNPROTECT(1);
  return !failed;
}

/* Run the team; FALSE if R was interrupted. */
static int run(team *tm, int threads, SEXP tell) {
  pthread_t *thread = (pthread_t *)R_alloc((size_t)threads, sizeof(pthread_t));
  int started = 0, whole = 1;
  while (started < threads && pthread_create(&thread[started], NULL, work, tm) == 0) started++;
  if (started == 0) error("sample_chains: no thread could be started");
  for (int looks = 1;; looks++) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_NS;
    if (until.tv_nsec >= 1000000000L) {
      until.tv_sec++;
      until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&tm->lock);
    if (tm->finished < tm->n) pthread_cond_timedwait(&tm->changed, &tm->lock, &until);
    const int over = tm->finished == tm->n;
    pthread_mutex_unlock(&tm->lock);
    if (over) break;
    whole = R_ToplevelExec(look, NULL) && (looks % TELL_EVERY || tell_r(tell, tm));
    if (!whole) break;
  }
  __atomic_store_n(&tm->stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < started; i++) pthread_join(thread[i], NULL);
  return whole;
}

static SEXP doubles(SEXP list, int at, R_xlen_t n) {
  SEXP made = allocVector(REALSXP, n);
  SET_VECTOR_ELT(list, at, made);
  memset(REAL(made), 0, (size_t)n * sizeof(double));
  return made;
}

/* sample_chains(model, plan, starts (dim x chains), seeds (6 x chains), threads, tell): see R/sampler.R. NULL when
   interrupted. */
static SEXP sample_chains(SEXP given, SEXP settings, SEXP starts, SEXP seeds, SEXP threads, SEXP tell) {
  static const char *names[] = {"p",           "density",   "matrices",    "z",     "seeds",
                                "acceptance", "step_size", "divergences", "gradients", ""};
  model md = model_of(given);
  plan pl = {asInteger(item(settings, "warmup")),    asInteger(item(settings, "draws")),
             asInteger(item(settings, "thin")),      asInteger(item(settings, "max_steps")),
             asReal(item(settings, "adapt_delta")), asReal(item(settings, "duration"))};
  const int n = ncols(starts), c = md.causes, cells = md.algorithms * c * c;
  SEXP answer = PROTECT(mkNamed(VECSXP, names));
  double *p = REAL(doubles(answer, 0, (R_xlen_t)pl.draws * c * n));
  double *density = REAL(doubles(answer, 1, (R_xlen_t)pl.draws * n));
  double *matrices = REAL(doubles(answer, 2, (R_xlen_t)cells * n));
  SET_VECTOR_ELT(answer, 3, duplicate(starts));
  SET_VECTOR_ELT(answer, 4, duplicate(seeds));
  double *z = REAL(VECTOR_ELT(answer, 3));
  int *seed = INTEGER(VECTOR_ELT(answer, 4));
  team tm = {(chain *)R_alloc((size_t)n, sizeof(chain)), (record *)R_alloc((size_t)n, sizeof(record)), n, 0, 0, 0,
             PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
  for (int i = 0; i < n; i++) {
    tm.chains[i] = chain_new(&md, &pl);
    memcpy(tm.chains[i].random.s, seed + 6 * i, 6 * sizeof(int));
    record made = {p + (size_t)i * pl.draws * c, density + (size_t)i * pl.draws, matrices + (size_t)i * cells,
                   z + (size_t)i * md.dim, 0, 0, 0, 0, 0};
    tm.records[i] = made;
  }
  if (!run(&tm, asInteger(threads) < n ? asInteger(threads) : n, tell)) {
    UNPROTECT(1);
    return R_NilValue;
  }
  double *acceptance = REAL(doubles(answer, 5, n)), *step = REAL(doubles(answer, 6, n));
  double *divergences = REAL(doubles(answer, 7, n)), *gradients = REAL(doubles(answer, 8, n));
  for (int i = 0; i < n; i++) {
    memcpy(seed + 6 * i, tm.chains[i].random.s, 6 * sizeof(int));
    acceptance[i] = tm.records[i].acceptance;
    step[i] = tm.records[i].step_size;
    divergences[i] = tm.records[i].divergences;
    gradients[i] = tm.records[i].gradients;
  }
  UNPROTECT(1);
  return answer;
}

static const R_CallMethodDef CALLS[] = {
    {"sample_chains", (DL_FUNC)&sample_chains, 6}, {"native_effective_size", (DL_FUNC)&native_effective_size, 1}, {NULL, NULL, 0}};

void R_init_switchyardcalib(DllInfo *dll) {
  R_registerRoutines(dll, NULL, CALLS, NULL, NULL);
  R_useDynamicSymbols(dll, FALSE);
}
