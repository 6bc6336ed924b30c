/* Executing a compiled network over the local leaves of a batch.
 *
 * Where every batch norm stays within its micro-batch, leaf after leaf runs through the whole
 * network. Where they reach further (scope rank or global), all local leaves pass the stretch up to
 * the next norm, so that their sums can be put together, and then the next. Both give each leaf's
 * kernels the same arguments. Activations are either kept from forward to backward or, leaf by
 * leaf, recomputed (gradient caching; Gao et al. 2021), which needs memory for one leaf only. No
 * allocation happens after pl_exec_create. */
#ifndef PL_NET_EXEC_H
#define PL_NET_EXEC_H

#include "runtime/base/ranks.h"
#include "runtime/net/net.h"
#include "runtime/tensor/gradsum.h"

typedef struct pl_exec pl_exec;

typedef struct pl_exec_options {
  int64_t leaves;       /* local */
  int64_t total_leaves; /* of the global batch */
  bool recompute;       /* drop activations after forward, compute them again before backward */
  bool in_place;        /* every fetch writes its leaf's input itself (pl_exec_input) */
  bool time_apart;      /* wait for the device after each operation, for pl_exec_times */
  /* Where the device can, record the work of a step and replay it: the same bits in less of the
   * host's time. Buffers handed to one executor must then be the same in every step. Nothing is
   * recorded with time_apart; else operations (pl_exec_times) take no time where they are replayed.
   */
  bool record;
  const pl_ranks *ranks; /* outlives the executor */
} pl_exec_options;

/* Sets the key of the random numbers of a step's dropouts; `first_leaf` is the place of the first
 * local leaf in the global batch. Before every forward pass of a network that has dropouts. */
void pl_exec_draw(pl_exec *exec, uint64_t seed, uint32_t step, int64_t first_leaf);

/* The input of a leaf: images, (rows, input shape), or token ids, (rows, length). Whoever is asked
 * for it either says where on the host it is, or writes it where the network reads it. */
typedef struct pl_exec_input {
  void *place;      /* in: there it is read, in memory of the network's device */
  pl_dtype type;    /* in: and as what; of token ids PL_I32 */
  const void *host; /* out: f32 or token ids, valid until the next call; NULL: `place` holds the
                       input, or will by work that is queued on the device */
} pl_exec_input;

/* Gives the input of the next leaf. It is called once per leaf and forward pass, in order of
 * leaves: so with recompute it is called for leaves 0 … n-1 in pl_exec_forward and again in
 * pl_exec_backward. `host` is NULL at the call. */
typedef pl_status (*pl_exec_fetch)(void *context, int64_t leaf, pl_exec_input *input);

/* PL_E_USAGE when recompute meets batch norm of scope rank or global (its statistics would need all
 * leaves at once). */
pl_status pl_exec_create(pl_net *net, const pl_exec_options *options, pl_exec **out);
void pl_exec_destroy(pl_exec **exec);

/* Milliseconds spent in one operation over all leaves since the executor was created, with what
 * belongs to it (fetching the input, adding gradients), without sums over ranks. On a device whose
 * work is queued they say something only with `time_apart`, which makes the whole slower. */
typedef struct pl_exec_time {
  const pl_op *op; /* after fusion; the executor's */
  double forward_ms, backward_ms;
  double forward_flops, backward_flops; /* of one leaf */
} pl_exec_time;

/* One entry per operation in order of execution, valid as long as the executor. */
const pl_exec_time *pl_exec_times(const pl_exec *exec, int *count);

/* How many pieces of work are recorded (pl_exec_options.record). */
int64_t pl_exec_recorded(const pl_exec *exec);

/* Calls `sum` with the size of each sum over ranks that a forward and a backward pass ask for, in
 * doubles. */
void pl_exec_list_sums(const pl_exec *exec, void (*sum)(void *context, size_t doubles),
                       void *context);

/* Bytes of activations this executor holds. */
size_t pl_exec_bytes(const pl_exec *exec);

/* out: (leaves * rows, output features) f32, in memory of the network's device. In training,
 * `buffers` (the space's buffer vector) gets its running statistics updated at the end: for scope
 * micro and rank with the mean over leaves (or ranks) of their statistics. Collective where `ranks`
 * are several. */
pl_status pl_exec_forward(pl_exec *exec, pl_exec_fetch fetch, void *context, float *out,
                          float *buffers);

/* The same without training, for whoever wants the outputs on the host: `out` is its memory.
 * Computes nothing for a thread that plans (runtime/base/account.h). */
pl_status pl_exec_embed(pl_exec *exec, pl_exec_fetch fetch, void *context, float *out);

/* dout: (leaves * rows, output features) f32 on the device, the gradient of the loss; parameter
 * gradients go to `sums`. Must follow pl_exec_forward. Collective where a batch norm has scope
 * global. */
pl_status pl_exec_backward(pl_exec *exec, pl_exec_fetch fetch, void *context, const float *dout,
                           pl_gradsum *sums);

#endif
