#include "runtime/tensor/device.h"

#include <string.h>

#include "runtime/base/account.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "runtime/tensor/space.h"

static pl_status host_alloc(size_t bytes, void **out) {
  *out = pl_alloc(bytes, 1);
  return *out ? PL_OK : PL_E_INTERNAL;
}

static pl_status host_copy(void *to, const void *from, size_t bytes) {
  memcpy(to, from, bytes);
  return PL_OK;
}

static pl_status host_finish(void) { return PL_OK; }

/* What is started is done at once. */
static pl_status host_start_get(void *to, const void *from, size_t bytes, uint64_t *ticket) {
  *ticket = 0;
  return host_copy(to, from, bytes);
}

static pl_status host_await_get(uint64_t ticket) {
  (void)ticket;
  return PL_OK;
}

/* Small vectors are not worth waking the team. */
enum { CHUNK = 1024, FEW = 16 * CHUNK };

static pl_status host_add_f32(float *restrict to, const float *restrict from, size_t n) {
#pragma omp parallel for schedule(static) if (n > FEW)
  for (size_t first = 0; first < n; first += CHUNK) {
    size_t end = n - first < CHUNK ? n : first + CHUNK;
#pragma omp simd
    for (size_t i = first; i < end; i++) to[i] += from[i];
  }
  return PL_OK;
}

static pl_status host_add_f64(double *restrict to, const double *restrict from, size_t n) {
#pragma omp simd
  for (size_t i = 0; i < n; i++) to[i] += from[i];
  return PL_OK;
}

static pl_status host_write_blocks(void *to, const pl_block_place *place, const float *from,
                                   int64_t blocks) {
#pragma omp parallel for schedule(static)
  for (int64_t b = 0; b < blocks; b++) {
    char *there = (char *)to + place[b].offset;
    if (place[b].narrow)
      pl_convert_f32_to_bf16((pl_bf16 *)(void *)there, from + b * PL_BLOCK, PL_BLOCK);
    else
      memcpy(there, from + b * PL_BLOCK, PL_BLOCK * sizeof *from);
  }
  return PL_OK;
}

const pl_device pl_host_device = {.name = "cpu",
                                  .is_host = true,
                                  .alloc = host_alloc,
                                  .release = pl_free,
                                  .alloc_host = host_alloc,
                                  .release_host = pl_free,
                                  .put = host_copy,
                                  .get = host_copy,
                                  .copy = host_copy,
                                  .finish = host_finish,
                                  .put_pinned = host_copy,
                                  .start_get = host_start_get,
                                  .await_get = host_await_get,
                                  .add_f32 = host_add_f32,
                                  .add_f64 = host_add_f64,
                                  .write_blocks = host_write_blocks};

/* ---- an accelerator that is not there ---- */

/* What stands for a block is the line of it in the account. */
static pl_status planned_alloc(size_t bytes, void **out) {
  pl_account_entry *block = pl_alloc(1, sizeof *block);
  *out = block;
  if (!block) return PL_E_INTERNAL;
  *block = pl_account_take(PL_ON_DEVICE, bytes);
  return PL_OK;
}

static void planned_release(void *memory) {
  if (memory) pl_account_give_back(memory);
  pl_free(memory);
}

static pl_status planned_alloc_host(size_t bytes, void **out) {
  *out = pl_alloc(bytes, 1);
  return *out ? PL_OK : PL_E_INTERNAL;
}

static pl_status planned_put(void *device, const void *host, size_t bytes) {
  (void)device, (void)host, (void)bytes;
  return PL_OK;
}

static pl_status planned_get(void *host, const void *device, size_t bytes) {
  (void)host, (void)device, (void)bytes;
  return PL_OK;
}

static pl_status planned_copy(void *to, const void *from, size_t bytes) {
  (void)to, (void)from, (void)bytes;
  return PL_OK;
}

static pl_status planned_finish(void) { return PL_OK; }

/* All that set-up asks for; it computes nothing. */
const pl_device pl_planned_device = {.name = "planned",
                                     .is_host = false,
                                     .alloc = planned_alloc,
                                     .release = planned_release,
                                     .alloc_host = planned_alloc_host,
                                     .release_host = pl_free,
                                     .put = planned_put,
                                     .put_pinned = planned_put,
                                     .get = planned_get,
                                     .copy = planned_copy,
                                     .finish = planned_finish};

pl_status pl_device_push_f64(const pl_device *device, double *sums, size_t width, int64_t leaves,
                             int64_t leaf, const double *values) {
  pl_tree_push push = pl_tree_place(leaves, PL_TREE_WHOLE, leaf);
  int top = push.slot;
  PL_TRY(device->copy(sums + (size_t)top * width, values, width * sizeof *values));
  for (int merges = push.merges; merges > 0; merges--, top--) {
    PL_TRY(device->add_f64(sums + (size_t)(top - 1) * width, sums + (size_t)top * width, width));
  }
  return PL_OK;
}
