/* From the tensors of a file to a state: which one goes where, and what does not fit. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/interchange/interchange.h"
#include "launch/interchange/names.h"
#include "runtime/base/memory.h"
#include "runtime/store/differences.h"

typedef struct matcher {
  const pl_safetensors *file;
  const char *prefix; /* of the encoder's names in the space */
  bool *used;         /* (tensors of the file) */
  pl_interchange_plan *plan;
  FILE *seeded, *left; /* lists of names under way, and their lengths */
  size_t seeded_length, left_length;
  pl_differences differences;
} matcher;

static void put_name(FILE *list, const char *name) {
  fprintf(list, "%s%s", ftell(list) > 0 ? ", " : "", name);
}

/* One number is the same with and without a dimension. */
static bool same_shape(const pl_safetensor *tensor, int dims, const int64_t *dim) {
  if (tensor->count == 1 && tensor->dims <= 1 && dims == 1 && dim[0] == 1) return true;
  return tensor->dims == dims && memcmp(tensor->dim, dim, (size_t)dims * sizeof *dim) == 0;
}

static void check_tensor(matcher *m, const pl_safetensor *tensor, int dims, const int64_t *dim) {
  if (!same_shape(tensor, dims, dim)) {
    pl_differ_in_shape(&m->differences, tensor->name, tensor->dims, tensor->dim, dims, dim);
  } else if (tensor->type > PL_SAFETENSORS_BF16) {
    pl_differ(&m->differences, "%s is neither f32 nor f16 nor bf16", tensor->name);
  }
}

/* The file's tensor for one of the space; -1 for one that begins from the seed. */
static int find(matcher *m, const char *name, int dims, const int64_t *dim) {
  const char *theirs = m->plan->encoder_alone ? pl_interchange_below(m->prefix, name) : name;
  int found = theirs ? pl_safetensors_find(m->file, theirs) : -1;
  if (found >= 0) {
    m->used[found] = true;
    m->plan->taken++;
    check_tensor(m, pl_safetensors_tensor(m->file, found), dims, dim);
  } else if (!theirs || (m->plan->encoder_alone && pl_interchange_is_projection(theirs))) {
    m->plan->seeded++;
    put_name(m->seeded, name);
  } else {
    pl_differ(&m->differences, "%s is missing", theirs);
  }
  return found;
}

static void find_all(matcher *m, const pl_space *space) {
  for (int p = 0; p < pl_space_params(space); p++) {
    const pl_param *param = pl_space_param(space, p);
    m->plan->param[p] = find(m, param->name, param->dims, param->dim);
  }
  for (int b = 0; b < pl_space_buffers(space); b++) {
    const pl_buffer *buffer = pl_space_buffer(space, b);
    m->plan->buffer[b] = find(m, buffer->name, 1, &buffer->count);
  }
  for (int t = 0; t < pl_safetensors_count(m->file); t++) {
    const char *name = pl_safetensors_tensor(m->file, t)->name;
    if (m->used[t] || pl_interchange_is_bookkeeping(name)) continue;
    if (m->plan->encoder_alone && pl_interchange_is_classifier(name)) {
      put_name(m->left, name);
    } else {
      pl_differ(&m->differences, "%s is not in the model", name);
    }
  }
}

static bool is_encoder_alone(const pl_safetensors *file, const char *prefix) {
  for (int t = 0; t < pl_safetensors_count(file); t++) {
    if (pl_interchange_below(prefix, pl_safetensors_tensor(file, t)->name)) return false;
  }
  return true;
}

static pl_status reserve(matcher *m, const pl_space *space) {
  pl_interchange_plan *plan = m->plan;
  plan->param = pl_alloc((size_t)pl_space_params(space), sizeof *plan->param);
  plan->buffer = pl_alloc((size_t)pl_space_buffers(space), sizeof *plan->buffer);
  m->used = pl_alloc((size_t)pl_safetensors_count(m->file), sizeof *m->used);
  if (!plan->param || !plan->buffer || !m->used) return PL_E_INTERNAL;
  m->seeded = open_memstream(&plan->seeded_names, &m->seeded_length);
  m->left = open_memstream(&plan->left_names, &m->left_length);
  return m->seeded && m->left ? PL_OK : PL_FAIL(PL_E_INTERNAL, "out of memory for lists of names");
}

static pl_status end_list(FILE *list) {
  if (!list || fclose(list) == 0) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "out of memory for a list of names");
}

static pl_status match(matcher *m, const pl_space *space) {
  pl_status status = reserve(m, space);
  if (status == PL_OK) find_all(m, space);
  pl_status seeded = end_list(m->seeded), left = end_list(m->left);
  if (status == PL_OK) status = seeded != PL_OK ? seeded : left;
  return status == PL_OK ? pl_differences_judge(&m->differences) : status;
}

pl_status pl_interchange_match(const char *path, const pl_safetensors *file, const pl_space *space,
                               bool tell, pl_interchange_plan *out) {
  const char *prefix = pl_interchange_prefix(space);
  *out = (pl_interchange_plan){.encoder_alone = is_encoder_alone(file, prefix)};
  matcher m = {.file = file,
               .prefix = prefix,
               .plan = out,
               .differences = {.subject = path, .place = "file", .silent = !tell}};
  pl_status status = match(&m, space);
  pl_free(m.used);
  return status;
}

void pl_interchange_plan_free(pl_interchange_plan *plan) {
  free(plan->left_names);
  free(plan->seeded_names);
  pl_free(plan->buffer);
  pl_free(plan->param);
  *plan = (pl_interchange_plan){0};
}

/* ---- loading ---- */

static pl_status read_finite(const char *path, const pl_safetensors *file, int index,
                             float *values) {
  const pl_safetensor *tensor = pl_safetensors_tensor(file, index);
  PL_TRY(pl_safetensors_read(file, index, values));
  for (int64_t i = 0; i < tensor->count; i++) {
    if (!isfinite(values[i])) {
      return PL_FAIL(PL_E_DATA, "%s: element %lld of %s is %g", path, (long long)i, tensor->name,
                     (double)values[i]);
    }
  }
  return PL_OK;
}

/* A rank's blocks of one parameter are neighbours in its slice, so each tensor is read once. */
static pl_status load_params(const char *path, const pl_safetensors *file,
                             const pl_interchange_plan *plan, pl_state *state, float *values) {
  const pl_space *space = state->space;
  const pl_slice *slice = state->slice;
  int at_hand = -1;
  for (int64_t i = 0; i < slice->blocks; i++) {
    int p = pl_space_block_param(space, slice->block[i]);
    const pl_param *param = pl_space_param(space, p);
    if (plan->param[p] < 0) continue;
    if (p != at_hand) PL_TRY(read_finite(path, file, plan->param[p], values));
    at_hand = p;
    int64_t first = (slice->block[i] - param->first_block) * PL_BLOCK;
    int64_t left = param->count - first, n = left < PL_BLOCK ? left : PL_BLOCK;
    memcpy(state->master + i * PL_BLOCK, values + first, (size_t)n * sizeof *values);
  }
  return PL_OK;
}

static pl_status load_buffers(const char *path, const pl_safetensors *file,
                              const pl_interchange_plan *plan, pl_state *state) {
  for (int b = 0; b < pl_space_buffers(state->space); b++) {
    if (plan->buffer[b] < 0) continue;
    float *values = state->buffers + pl_space_buffer(state->space, b)->offset;
    PL_TRY(read_finite(path, file, plan->buffer[b], values));
  }
  return PL_OK;
}

pl_status pl_interchange_load(const char *path, const pl_safetensors *file,
                              const pl_interchange_plan *plan, pl_state *state) {
  int64_t largest = 0;
  for (int p = 0; p < pl_space_params(state->space); p++) {
    int64_t count = pl_space_param(state->space, p)->count;
    if (count > largest) largest = count;
  }
  float *values = pl_alloc((size_t)largest, sizeof *values);
  if (!values) return PL_E_INTERNAL;
  pl_status status = load_params(path, file, plan, state, values);
  if (status == PL_OK) status = load_buffers(path, file, plan, state);
  if (status == PL_OK) status = pl_state_start_average(state);
  pl_free(values);
  return status;
}
