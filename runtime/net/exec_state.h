/* The inside of an executor; private to runtime/net. */
#ifndef PL_NET_EXEC_STATE_H
#define PL_NET_EXEC_STATE_H

#include "runtime/net/exec.h"
#include "runtime/net/plan.h"

/* Work of a pass that is the same in every step, so that the device can record it (section.c). */
typedef struct pl_section {
  bool ran; /* once, as it is: what libraries prepare at a first call is done */
  pl_recording *recording;
  const void *image; /* what is recorded reads its parameters there */
} pl_section;

/* All memory is the device's, but for what is named otherwise. */
struct pl_exec {
  pl_net *net;
  const pl_device *device;
  pl_exec_options options;
  char *arena[PL_ARENAS];
  size_t arena_stride[PL_ARENAS]; /* bytes from leaf to leaf; 0 where all use the same */
  void *kernel_scratch;
  size_t bytes;
  bool ran_forward;   /* backward may follow */
  uint64_t draw_seed; /* see pl_exec_draw */
  uint32_t draw_step;
  int64_t draw_first_leaf;
  /* Sums of one norm: a leaf's, the stack of partial sums over leaves, the totals of its scope. */
  double *leaf_sums, *sum_stack, *totals;
  /* Means and unbiased variances of all norms: of the leaf or scope just computed, and the stack of
   * partial sums over leaves. */
  double *statistics, *statistic_stack;
  double
      *host_sums; /* on the host: what is summed over ranks; NULL where all memory is the host's */
  void *input;    /* where host and device have memory of their own: an input as it came */
  pl_exec_time *time;  /* (net steps) */
  pl_section *section; /* (sections); NULL: nothing is recorded */
  int64_t sections;
  bool recording; /* what is queued is recorded now */
};

/* One pass over the local leaves, and what its caller handed in. */
typedef struct pl_pass {
  pl_exec *exec;
  pl_exec_fetch fetch;
  void *context;
  /* On the device: */
  float *out;        /* NULL when activations are recomputed: nobody needs the output again */
  const float *dout; /* backward */
  pl_gradsum *sums;  /* backward */
} pl_pass;

/* Sections by what they are part of, and by leaf or, where leaves run side by side, by border. */
typedef enum pl_part_of_step {
  PL_SECTION_FORWARD,
  PL_SECTION_AGAIN, /* forward once more, of dropped activations */
  PL_SECTION_BACKWARD,
  PL_SECTION_PARTS
} pl_part_of_step;

/* Makes room for sections if `wanted` and the work is such that it can be recorded. */
pl_status pl_sections_create(pl_exec *exec, bool wanted);
void pl_sections_destroy(pl_exec *exec);

/* Does `work`, or has the device do again what it recorded of it. Of gradients, recorded work does
 * all but pl_gradsum_note, which then is the caller's: *noted says whether that is done. */
typedef pl_status (*pl_section_work)(const pl_pass *pass, int64_t a, int64_t b);
pl_status pl_section_run(const pl_pass *pass, pl_part_of_step part, int64_t index,
                         pl_section_work work, int64_t a, int64_t b, bool *noted);

/* All leaves forward, or all backward; stretches without norms that reach beyond the leaf run leaf
 * after leaf. Collective where a norm has scope global. */
pl_status pl_pass_forward(const pl_pass *pass);
pl_status pl_pass_backward(const pl_pass *pass);

/* One leaf forward or backward through the whole network, which has no such norms. */
pl_status pl_pass_leaf_forward(const pl_pass *pass, pl_part_of_step part, int64_t leaf);
pl_status pl_pass_leaf_backward(const pl_pass *pass, int64_t leaf);

/* Running statistics (running.c). Notes those of a norm from its sums over `count` elements per
 * channel. */
pl_status pl_running_note(pl_exec *exec, const pl_step *step, const double *totals, double count);

/* Scope micro: adds those of leaf `leaf`, all noted, to the sum over leaves. */
pl_status pl_running_push_leaf(pl_exec *exec, int64_t leaf);

/* Moves the running statistics in `buffers` on by one step. Collective for scopes micro and rank.
 */
pl_status pl_running_update(pl_exec *exec, float *buffers);

/* Adds `count` doubles on the device over ranks. Collective. */
pl_status pl_exec_sum_ranks(pl_exec *exec, double *values, size_t count);

#endif
