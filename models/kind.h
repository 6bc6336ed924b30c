/* The table that each method fills; private to models/. */
#ifndef MODELS_KIND_H
#define MODELS_KIND_H

#include "models/method.h"

/* A method's functions take its own state; see the pl_method_ functions for what they do. */
typedef struct pl_method_kind {
  const char *name;
  int views;
  pl_status (*create)(const pl_method_setup *setup, void **state);
  void (*destroy)(void *state);
  pl_status (*prepare)(void *state);
  void (*end_steps)(void *state);
  pl_status (*load)(void *state, const void *image, const float *buffers);
  pl_status (*step)(void *state, const pl_step_request *request, float *buffers, pl_gradsum *sums,
                    pl_step_report *report);
  pl_status (*compile_part)(const void *state, pl_part part, int rows, pl_net **out);
  int (*scalars)(const void *state, pl_scalar_rule *rules); /* NULL: none */
  pl_net_costs (*costs)(const void *state);
  pl_method_sent (*sent)(const void *state);
} pl_method_kind;

extern const pl_method_kind pl_method_kind_simclr, pl_method_kind_clip, pl_method_kind_siglip;

/* Bytes that this rank sends in the sums of batch norms of a step. */
size_t pl_norms_sent_bytes(const pl_comm *comm, const pl_exec *exec);

#endif
