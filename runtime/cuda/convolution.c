#include "runtime/cuda/convolution.h"

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/cuda/cuda.h"
#include "runtime/cuda/dnn_convolution.h"
#include "runtime/cuda/engine.h"

enum { WORKSPACE_ALIGNMENT = 256 };

/* A device of cuDNN's: there from the first convolution that is planned for it to the last. */
typedef struct shared_device {
  pl_dnn_device dnn;
  int users;
} shared_device;

struct pl_convolution {
  pl_convolution_spec spec;
  shared_device *device;
  pl_dnn_descriptors descriptors;
  pl_dnn_plan plans[PL_DIRECTIONS];
  size_t workspace_bytes; /* the most of all directions */
  int users;
  pl_convolution *next; /* of all there are */
};

/* The one that is open, and the one that stands for it where none is. */
static shared_device open_device, described_device;

/* Networks have many alike, and planning one takes milliseconds. */
static pl_convolution *all;

static bool same(const pl_convolution_spec *a, const pl_convolution_spec *b) {
  return a->rows == b->rows && a->in.height == b->in.height && a->in.width == b->in.width &&
         a->in.channels == b->in.channels && a->out.height == b->out.height &&
         a->out.width == b->out.width && a->out.channels == b->out.channels &&
         a->window.kernel == b->window.kernel && a->window.stride == b->window.stride &&
         a->window.pad == b->window.pad && a->type == b->type &&
         a->backward_data == b->backward_data && a->backward_weights == b->backward_weights &&
         a->tf32 == b->tf32;
}

static pl_status take_device(pl_convolution *c) {
  bool here = pl_cuda_is_open();
  shared_device *d = here ? &open_device : &described_device;
  if (d->users == 0) {
    pl_status status = here ? pl_dnn_open(&d->dnn) : pl_dnn_describe_device(pl_dnn_h100, &d->dnn);
    if (status != PL_OK) {
      pl_dnn_close(&d->dnn);
      return status;
    }
  }
  d->users++;
  c->device = d;
  return PL_OK;
}

static void give_device_back(shared_device *d) {
  if (--d->users == 0) pl_dnn_close(&d->dnn);
}

/* One that is there already, for the same device; NULL: none. */
static pl_convolution *find(const pl_convolution_spec *spec) {
  bool here = pl_cuda_is_open();
  for (pl_convolution *c = all; c; c = c->next)
    if (same(&c->spec, spec) && (c->device == &open_device) == here) return c;
  return NULL;
}

static void forget(pl_convolution *c) {
  for (pl_convolution **at = &all; *at; at = &(*at)->next) {
    if (*at != c) continue;
    *at = c->next;
    return;
  }
}

/* *missing: as pl_dnn_convolution_plan says. */
static pl_status plan(pl_convolution *c, pl_direction *missing) {
  PL_TRY(pl_dnn_convolution_plan(&c->device->dnn, &c->spec, &c->descriptors, c->plans, missing));
  for (int i = 0; i < PL_DIRECTIONS; i++) {
    const pl_dnn_plan *p = &c->plans[i];
    if (!p->descriptor) continue;
    pl_note_convolution(&c->spec, pl_direction_name((pl_direction)i), p->engine,
                        p->workspace_bytes);
    if (p->workspace_bytes > c->workspace_bytes) c->workspace_bytes = p->workspace_bytes;
  }
  return PL_OK;
}

/* Without the device, what an H100 would get; without a cuDNN that knows it, no more than that. */
static pl_status make(pl_convolution *c, pl_direction *missing) {
  pl_status status = take_device(c);
  if (status == PL_OK) return plan(c, missing);
  if (pl_cuda_is_open()) return status;
  c->workspace_bytes = pl_dnn_convolution_rule(&c->spec).most_workspace;
  *missing = PL_DIRECTIONS;
  return PL_OK;
}

pl_status pl_convolution_create(const pl_convolution_spec *spec, pl_convolution **out) {
  pl_direction missing;
  pl_convolution *c = find(spec);
  *out = NULL;
  if (c) {
    c->users++;
    *out = c;
    return PL_OK;
  }
  c = pl_alloc(1, sizeof *c);
  if (!c) return PL_E_INTERNAL;
  *c = (pl_convolution){.spec = *spec, .users = 1, .next = all};
  all = c;
  pl_status status = make(c, &missing);
  if (status == PL_OK && missing == PL_DIRECTIONS) {
    *out = c;
    return PL_OK;
  }
  if (status == PL_OK)
    pl_no_convolution(spec, pl_direction_name(missing),
                      cudnnGetErrorString(c->plans[missing].answer));
  pl_convolution_destroy(&c);
  return status;
}

void pl_convolution_destroy(pl_convolution **convolution) {
  pl_convolution *c = *convolution;
  *convolution = NULL;
  if (!c || --c->users > 0) return;
  forget(c);
  pl_dnn_destroy_all(&c->descriptors);
  if (c->device) give_device_back(c->device);
  pl_free(c);
}

/* Scratch may begin at any multiple of PL_ALIGNMENT. */
size_t pl_convolution_scratch_bytes(const pl_convolution *convolution) {
  return convolution->workspace_bytes ? convolution->workspace_bytes + WORKSPACE_ALIGNMENT : 0;
}

static pl_status run(const pl_convolution *c, pl_direction direction, const void *x,
                     const void *weights, const void *y, void *scratch) {
  uintptr_t over = (uintptr_t)scratch % WORKSPACE_ALIGNMENT;
  void *workspace = over ? (char *)scratch + (WORKSPACE_ALIGNMENT - over) : scratch;
  const pl_dnn_plan *p = &c->plans[direction];
  return pl_context(pl_dnn_convolution_run(&c->device->dnn, p, x, weights, y,
                                           p->workspace_bytes ? workspace : NULL),
                    "%s of a convolution", pl_direction_name(direction));
}

pl_status pl_convolution_forward(const pl_convolution *c, const void *x, const void *weights,
                                 void *y, void *scratch) {
  return run(c, PL_DIRECTION_FORWARD, x, weights, y, scratch);
}

pl_status pl_convolution_backward_data(const pl_convolution *c, const void *dy, const void *weights,
                                       void *dx, void *scratch) {
  return run(c, PL_DIRECTION_DATA, dx, weights, dy, scratch);
}

pl_status pl_convolution_backward_weights(const pl_convolution *c, const void *x, const void *dy,
                                          void *dweights, void *scratch) {
  return run(c, PL_DIRECTION_WEIGHTS, x, dweights, dy, scratch);
}
