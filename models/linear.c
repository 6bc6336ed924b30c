#include "models/linear.h"

#include <math.h>
#include <string.h>

#include "models/pick.h"
#include "models/softmax.h"
#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/base/progress.h"
#include "runtime/base/random.h"
#include "runtime/base/tree.h"

enum { DRAW_OF_ORDER, DRAW_OF_HELD }; /* the last part of the key of PL_RANDOM_LINEAR */
enum { QUERY_ROWS = 512 };

typedef struct linear {
  pl_comm *comm;
  const pl_linear_options *options;
  const pl_knn_rows *train, *queries;
  const pl_linear_views *views;
  pl_standard standard;
  pl_pick *samples;             /* of training, over all ranks */
  pl_pick *asked;               /* queries, over all ranks; only for their numbers */
  int64_t held, trained;        /* numbers of samples */
  int64_t rows;                 /* of a batch at most */
  int64_t steps, done;          /* of the training */
  int32_t *labels;              /* (samples) */
  uint32_t *shuffled;           /* (samples): first those held out, then those trained on */
  uint32_t *order;              /* (trained): of an epoch */
  int32_t *classes;             /* (rows): labels or predictions of a batch */
  int64_t first_rate, rates;    /* this rank's */
  pl_softmax *own;              /* their classifiers */
  pl_softmax *chosen;           /* the classifier of the best rate */
  double right[PL_CONFIG_LIST]; /* held-out samples that each rate got right */
} linear;

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- checks ---- */

static pl_status check_options(const pl_linear_options *o) {
  if (o->width < 1 || o->classes < 1 || o->batch < 1 || !(o->epochs > 0) || !isfinite(o->epochs) ||
      !(o->momentum >= 0 && o->momentum <= 1) || !(o->weight_decay >= 0) ||
      !isfinite(o->weight_decay))
    return PL_FAIL(PL_E_USAGE,
                   "linear: width %d, %d classes, batch %lld, %g epochs, momentum %g, weight decay "
                   "%g",
                   o->width, o->classes, (long long)o->batch, o->epochs, o->momentum,
                   o->weight_decay);
  if (o->rates < 1 || o->rates > PL_CONFIG_LIST)
    return PL_FAIL(PL_E_USAGE, "linear: %d rates, not 1 … %d", o->rates, PL_CONFIG_LIST);
  for (int i = 0; i < o->rates; i++)
    if (!(o->rate[i] > 0) || !isfinite(o->rate[i]))
      return PL_FAIL(PL_E_USAGE, "linear: a rate of %g", o->rate[i]);
  if (!(o->holdout >= 0 && o->holdout < 1) || (o->holdout == 0 && o->rates > 1))
    return PL_FAIL(PL_E_USAGE, "linear: a held-out share of %g chooses among %d rates", o->holdout,
                   o->rates);
  return PL_OK;
}

/* Without what lies between and behind the members in use. */
static pl_status agree_on_options(pl_comm *comm, const pl_linear_options *o) {
  const double seed[2] = {(double)(o->seed >> 32), (double)(o->seed & UINT32_MAX)};
  const double agreed[] = {o->width,    o->classes,      o->rates,   o->epochs, (double)o->batch,
                           o->momentum, o->weight_decay, o->holdout, seed[0],   seed[1]};
  PL_TRY(pl_comm_agree_same(comm, "the options of linear evaluation", agreed, sizeof agreed));
  PL_TRY(pl_comm_agree(comm, check_options(o)));
  return pl_comm_agree_same(comm, "the rates of linear evaluation", o->rate,
                            (size_t)o->rates * sizeof *o->rate);
}

static pl_status check_labels(const char *what, const pl_knn_rows *rows, int classes) {
  for (int64_t i = 0; i < rows->count; i++)
    if (rows->labels[i] < 0 || rows->labels[i] >= classes)
      return PL_FAIL(PL_E_USAGE, "linear: %s row %lld has label %d, not in 0 … %d", what,
                     (long long)i, (int)rows->labels[i], classes - 1);
  return PL_OK;
}

static pl_status check_features(const char *what, const float *features, int64_t count, int width) {
  for (int64_t i = 0; i < count; i++)
    for (int j = 0; j < width; j++)
      if (!isfinite(features[i * width + j]))
        return PL_FAIL(PL_E_DATA, "linear: %s row %lld has a feature (%d) that is %g", what,
                       (long long)i, j, (double)features[i * width + j]);
  return PL_OK;
}

static pl_status check_input(const linear *l) {
  const pl_linear_options *o = l->options;
  PL_TRY(check_labels("training", l->train, o->classes));
  PL_TRY(check_labels("query", l->queries, o->classes));
  PL_TRY(check_features("training", l->train->features, l->train->count, o->width));
  return check_features("query", l->queries->features, l->queries->count, o->width);
}

/* ---- making ready ---- */

static pl_status make_buffers(linear *l) {
  size_t total = (size_t)pl_pick_total(l->samples);
  l->labels = pl_alloc(total, sizeof *l->labels);
  l->shuffled = pl_alloc(total, sizeof *l->shuffled);
  l->order = pl_alloc(total, sizeof *l->order);
  l->classes = pl_alloc((size_t)(l->rows > QUERY_ROWS ? l->rows : QUERY_ROWS), sizeof *l->classes);
  if (!l->labels || !l->shuffled || !l->order || !l->classes) return PL_E_INTERNAL;
  pl_softmax_options options = {.width = l->options->width,
                                .classes = l->options->classes,
                                .members = (int)l->rates,
                                .rows = l->rows,
                                .momentum = l->options->momentum,
                                .weight_decay = l->options->weight_decay};
  PL_TRY(pl_softmax_create(&options, &l->own));
  options.members = 1;
  options.rows = QUERY_ROWS;
  return pl_softmax_create(&options, &l->chosen);
}

/* At least one sample is held out where a share is asked for, and at least one is left. */
static pl_status part_samples(linear *l) {
  int64_t total = pl_pick_total(l->samples);
  bool holds_out = l->options->holdout > 0;
  if (total < 1 + holds_out || total > UINT32_MAX)
    return PL_FAIL(PL_E_USAGE, "linear: %lld training samples are too %s", (long long)total,
                   total > UINT32_MAX ? "many" : "few");
  if (holds_out) {
    l->held = llround(l->options->holdout * (double)total);
    if (l->held == 0) l->held = 1;
    if (l->held == total) l->held--;
  }
  l->trained = total - l->held;
  l->rows = smaller(l->options->batch, l->trained);
  double batches = ceil((double)l->trained / (double)l->rows);
  l->steps = (int64_t)fmax(1, rint(l->options->epochs * batches));
  pl_tree_part(l->options->rates, pl_comm_size(l->comm), pl_comm_rank(l->comm), &l->first_rate,
               &l->rates);
  return PL_OK;
}

static pl_status make_ready(linear *l) {
  const pl_linear_options *o = l->options;
  PL_TRY(pl_pick_create(l->comm, l->train->count, o->width, o->batch, &l->samples));
  PL_TRY(pl_pick_create(l->comm, l->queries->count, o->width, 0, &l->asked));
  PL_TRY(part_samples(l)); /* the same on all ranks */
  PL_TRY(pl_comm_agree(l->comm, make_buffers(l)));
  PL_TRY(pl_pick_values(l->samples, l->train->labels, l->labels));
  pl_random random = pl_random_stream(l->options->seed, PL_RANDOM_LINEAR, 0, 0, DRAW_OF_HELD);
  pl_random_permutation(&random, l->shuffled, (uint64_t)pl_pick_total(l->samples));
  return pl_standard_measure(l->comm, l->train->features, l->train->count, o->width, &l->standard);
}

/* ---- training ---- */

/* Hands rows of all ranks to this rank's classifiers. What fails here alone goes to *own: the rank
 * stays in step with the others, and the failure is agreed on at the end. */
static pl_status take_batch(linear *l, const float *features, const uint32_t *index, int64_t n,
                            pl_status *own) {
  const float *const *rows;
  pl_comm_alive(l->comm, -1, "linear evaluation");
  PL_TRY(pl_pick_rows(l->samples, features, index, n, &rows));
  if (*own == PL_OK && l->rates > 0) *own = pl_softmax_take(l->own, &l->standard, rows, n);
  return PL_OK;
}

static pl_status train_batch(linear *l, const int32_t *labels) {
  double rate[PL_CONFIG_LIST];
  double fall = (1 + cos(M_PI * (double)l->done / (double)l->steps)) / 2;
  for (int64_t r = 0; r < l->rates; r++) rate[r] = l->options->rate[l->first_rate + r] * fall;
  return pl_softmax_step(l->own, labels, rate);
}

static pl_status train_epoch(linear *l, int64_t epoch, const float *features,
                             pl_progress *progress) {
  pl_random random =
      pl_random_stream(l->options->seed, PL_RANDOM_LINEAR, (uint32_t)epoch, 0, DRAW_OF_ORDER);
  pl_status own = PL_OK;
  pl_random_permutation(&random, l->order, (uint64_t)l->trained);
  for (int64_t i = 0; i < l->trained; i++) l->order[i] = l->shuffled[l->held + l->order[i]];
  for (int64_t first = 0; first < l->trained && l->done < l->steps; first += l->rows) {
    int64_t n = smaller(l->rows, l->trained - first);
    PL_TRY(take_batch(l, features, l->order + first, n, &own));
    for (int64_t i = 0; i < n; i++) l->classes[i] = l->labels[l->order[first + i]];
    if (own == PL_OK && l->rates > 0) own = train_batch(l, l->classes);
    pl_progress_show(progress, ++l->done);
  }
  return pl_comm_agree(l->comm, own);
}

static pl_status train_all(linear *l, pl_progress *progress) {
  const float *features = l->train->features;
  for (int64_t epoch = 0; l->done < l->steps; epoch++) {
    if (l->views) {
      PL_TRY(l->views->epoch(l->views->context, epoch, &features));
      PL_TRY(pl_comm_agree(
          l->comm, check_features("augmented", features, l->train->count, l->options->width)));
    }
    PL_TRY(train_epoch(l, epoch, features, progress));
  }
  return PL_OK;
}

/* ---- choosing ---- */

static pl_status judge_batch(linear *l, const uint32_t *index, int64_t n) {
  for (int64_t r = 0; r < l->rates; r++) {
    PL_TRY(pl_softmax_predict(l->own, (int)r, l->classes));
    for (int64_t i = 0; i < n; i++)
      l->right[l->first_rate + r] += l->classes[i] == l->labels[index[i]];
  }
  return PL_OK;
}

static pl_status judge_rates(linear *l) {
  pl_status own = PL_OK;
  for (int64_t first = 0; first < l->held; first += l->rows) {
    int64_t n = smaller(l->rows, l->held - first);
    PL_TRY(take_batch(l, l->train->features, l->shuffled + first, n, &own));
    if (own == PL_OK) own = judge_batch(l, l->shuffled + first, n);
  }
  PL_TRY(pl_comm_agree(l->comm, own));
  return pl_comm_sum_f64(l->comm, l->right, PL_CONFIG_LIST); /* one rank has each: exact */
}

/* The classifier of a rate, on all ranks. */
static pl_status share_classifier(linear *l, int rate) {
  int64_t first = 0, count = 0;
  int owner = -1;
  while (rate >= first + count)
    pl_tree_part(l->options->rates, pl_comm_size(l->comm), ++owner, &first, &count);
  size_t parameters;
  float *shared = pl_softmax_parameters(l->chosen, 0, NULL, &parameters);
  if (owner == pl_comm_rank(l->comm))
    memcpy(shared, pl_softmax_parameters(l->own, (int)(rate - first), NULL, &parameters),
           parameters * sizeof *shared);
  return pl_comm_broadcast(l->comm, shared, parameters * sizeof *shared, owner);
}

static pl_status choose(linear *l, pl_linear_result *result) {
  int best = 0;
  PL_TRY(judge_rates(l));
  for (int r = 1; r < l->options->rates; r++)
    if (l->right[r] > l->right[best]) best = r;
  result->rate = l->options->rate[best];
  result->held = l->held;
  result->held_right = (int64_t)l->right[best];
  return share_classifier(l, best);
}

/* ---- the queries ---- */

/* A query has the same place in a batch on any rank, so batches are cut from the order over all
 * ranks; the others' queries are left out. */
static pl_status classify_batch(linear *l, int64_t first, int32_t *predictions, double *right) {
  const float *rows[QUERY_ROWS];
  int64_t from = first - pl_pick_first(l->asked); /* of the batch's first row; may be negative */
  for (int64_t i = 0; i < QUERY_ROWS; i++) {
    bool here = from + i >= 0 && from + i < l->queries->count;
    rows[i] = here ? l->queries->features + (from + i) * l->options->width : NULL;
  }
  PL_TRY(pl_softmax_take(l->chosen, &l->standard, rows, QUERY_ROWS));
  PL_TRY(pl_softmax_predict(l->chosen, 0, l->classes));
  for (int64_t i = 0; i < QUERY_ROWS; i++) {
    if (!rows[i]) continue;
    *right += l->classes[i] == l->queries->labels[from + i];
    if (predictions) predictions[from + i] = l->classes[i];
  }
  return PL_OK;
}

static pl_status classify_local(linear *l, int32_t *predictions, double *right) {
  int64_t start = pl_pick_first(l->asked), end = start + l->queries->count;
  for (int64_t first = start - start % QUERY_ROWS; first < end; first += QUERY_ROWS)
    PL_TRY(classify_batch(l, first, predictions, right));
  return PL_OK;
}

/* ---- the whole ---- */

/* The memory that all this takes, without a number in it. */
static pl_status plan(linear *l) {
  const float *features;
  PL_TRY(make_ready(l));
  return l->views ? l->views->epoch(l->views->context, 0, &features) : PL_OK;
}

static pl_status run(linear *l, int32_t *predictions, pl_linear_result *result) {
  PL_TRY(pl_comm_agree(l->comm, check_input(l)));
  PL_TRY(make_ready(l));
  bool shown = pl_comm_rank(l->comm) == 0 && !l->views; /* new views have progress of their own */
  pl_progress progress = pl_progress_start("training the classifier", "steps", l->steps, shown);
  pl_status status = train_all(l, &progress);
  pl_progress_end(&progress);
  PL_TRY(status);
  PL_TRY(choose(l, result));
  double right = 0;
  PL_TRY(pl_comm_agree(l->comm, classify_local(l, predictions, &right)));
  PL_TRY(pl_comm_sum_f64(l->comm, &right, 1)); /* whole numbers: exact in any order */
  result->right = (int64_t)right;
  result->queries = pl_pick_total(l->asked);
  return PL_OK;
}

pl_status pl_linear_classify(pl_comm *comm, const pl_linear_options *options,
                             const pl_knn_rows *train, const pl_linear_views *views,
                             const pl_knn_rows *queries, int32_t *predictions,
                             pl_linear_result *result) {
  linear l = {.comm = comm, .options = options, .train = train, .views = views, .queries = queries};
  *result = (pl_linear_result){0};
  pl_status status = agree_on_options(comm, options);
  if (status == PL_OK) {
    status = pl_account_is_planning() ? plan(&l) : run(&l, predictions, result);
  }
  pl_standard_free(&l.standard);
  pl_pick_destroy(&l.samples);
  pl_pick_destroy(&l.asked);
  pl_softmax_destroy(&l.own);
  pl_softmax_destroy(&l.chosen);
  pl_free(l.labels);
  pl_free(l.shuffled);
  pl_free(l.order);
  pl_free(l.classes);
  return status;
}
