/* The tensors of a state as a file of other programs holds them. */
#include <stdio.h>
#include <string.h>

#include "launch/interchange/interchange.h"
#include "launch/interchange/names.h"
#include "runtime/base/memory.h"

bool pl_interchange_has_towers(const pl_space *space) {
  return strcmp(pl_interchange_prefix(space), "visual.") == 0;
}

typedef struct maker {
  const pl_state *state;
  const char *prefix; /* of the names that are listed, which lose it; "" for all, as they are */
  pl_interchange_list *list;
} maker;

/* The next entry, for a tensor of the space; NULL for what the file leaves out. */
static pl_safetensor *add(const maker *m, const char *name, const char *end) {
  const char *theirs = pl_interchange_below(m->prefix, name);
  if (!theirs) return NULL;
  pl_safetensor *tensor = &m->list->tensor[m->list->count++];
  snprintf(tensor->name, sizeof tensor->name, "%s%s", theirs, end);
  return tensor;
}

static void add_batches(const maker *m, const pl_buffer *buffer) {
  char norm[PL_NAME_MAX];
  int length = pl_interchange_norm_length(buffer->name);
  if (length == 0) return;
  snprintf(norm, sizeof norm, "%.*s", length, buffer->name);
  pl_safetensor *tensor = add(m, norm, "num_batches_tracked");
  if (!tensor) return;
  tensor->type = PL_SAFETENSORS_I64;
  tensor->count = 1;
  tensor->values = &m->list->batches;
}

static void add_param(const maker *m, const pl_param *param) {
  pl_safetensor *tensor = add(m, param->name, "");
  if (!tensor) return;
  tensor->type = PL_SAFETENSORS_F32;
  tensor->count = param->count;
  tensor->dims = pl_interchange_is_scalar(param->name) ? 0 : param->dims;
  memcpy(tensor->dim, param->dim, (size_t)tensor->dims * sizeof *param->dim);
  tensor->values = (const char *)m->state->image + param->image_offset;
  m->list->elements += param->count;
}

static void add_buffer(const maker *m, const pl_buffer *buffer) {
  pl_safetensor *tensor = add(m, buffer->name, "");
  if (!tensor) return;
  tensor->type = PL_SAFETENSORS_F32;
  tensor->count = tensor->dim[0] = buffer->count;
  tensor->dims = 1;
  tensor->values = m->state->buffers + buffer->offset;
  m->list->elements += buffer->count;
}

pl_status pl_interchange_list_make(const pl_state *state, bool encoder_alone,
                                   pl_interchange_list *out) {
  const pl_space *space = state->space;
  int params = pl_space_params(space), buffers = pl_space_buffers(space);
  maker m = {
      .state = state, .prefix = encoder_alone ? pl_interchange_prefix(space) : "", .list = out};
  *out = (pl_interchange_list){.batches = state->step};
  out->tensor = pl_alloc((size_t)params + 2 * (size_t)buffers, sizeof *out->tensor);
  if (!out->tensor) return PL_E_INTERNAL;
  /* The larger type comes first, so that all numbers lie at multiples of their size. */
  for (int b = 0; b < buffers; b++) add_batches(&m, pl_space_buffer(space, b));
  for (int p = 0; p < params; p++) {
    if (pl_space_param(space, p)->compute_type != PL_F32) {
      return PL_FAIL(PL_E_INTERNAL, "the weights of %s are not at hand in f32",
                     pl_space_param(space, p)->name);
    }
    add_param(&m, pl_space_param(space, p));
  }
  for (int b = 0; b < buffers; b++) add_buffer(&m, pl_space_buffer(space, b));
  return PL_OK;
}

void pl_interchange_list_free(pl_interchange_list *list) {
  pl_free(list->tensor);
  *list = (pl_interchange_list){0};
}
