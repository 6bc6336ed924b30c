/* What a rank of a run will need, and how that is told. launch/train/rehearsal.h finds it out. */
#ifndef LAUNCH_PLAN_PLAN_H
#define LAUNCH_PLAN_PLAN_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/base/account.h"
#include "runtime/tensor/dtype.h"

/* Bytes that a rank sends in a step. */
typedef struct pl_plan_sent {
  size_t embeddings; /* gathered by all ranks */
  size_t statistics; /* of the loss's rows, likewise */
  size_t norms;      /* sums of batch norms, forward and backward */
  size_t gradients;  /* pieces for their owners */
  size_t optimizer;  /* sums of squares, by blocks of the parameters */
  size_t image;      /* the slice's new parameters for all ranks */
} pl_plan_sent;

typedef struct pl_plan {
  int ranks;
  int rank;        /* one that has most to hold */
  bool on_gpu;     /* networks are computed there */
  bool incomplete; /* so far, when not even the addresses for it could be had */
  pl_dtype precision;
  bool recompute;
  int64_t parameters;
  int64_t batch, micro;
  int64_t leaves;    /* of the rank */
  int gradient_sums; /* vectors of partial sums */
  double step_flops; /* of the rank's networks */
  pl_plan_sent sent;
  size_t bytes[PL_MEMORY_PLACES][PL_MEMORY_KINDS];
} pl_plan;

size_t pl_plan_total(const pl_plan *plan, pl_memory_place place);
size_t pl_plan_sent_total(const pl_plan *plan);
int64_t pl_plan_samples(const pl_plan *plan); /* of the rank, in a step */

/* The kind that takes most in that place. */
pl_memory_kind pl_plan_largest(const pl_plan *plan, pl_memory_place place);

/* A configuration that differs in one way, and what a rank of it would need. */
typedef struct pl_plan_choice {
  char change[64]; /* "batch.micro=32" */
  size_t bytes[PL_MEMORY_PLACES];
} pl_plan_choice;

enum { PL_PLAN_CHOICES = 10 };
typedef struct pl_plan_choices {
  int count;
  pl_plan_choice choice[PL_PLAN_CHOICES];
} pl_plan_choices;

/* What people and programs read. `choices` may be empty. */
void pl_plan_print(FILE *out, const pl_plan *plan, const pl_plan_choices *choices);
void pl_plan_print_json(FILE *out, const pl_plan *plan, const pl_plan_choices *choices);

/* {"program": …, "total": …}: bytes by the names of pl_memory_kind_name. */
void pl_memory_print_json(FILE *out, const size_t bytes[PL_MEMORY_KINDS]);

/* In one line for messages: "activations 3.20 GB, gradient sums 1.10 GB, …, together 5.01 GB", the
 * largest first. */
enum { PL_PLAN_LINE = 512 };
void pl_plan_line(const pl_plan *plan, pl_memory_place place, char line[PL_PLAN_LINE]);

#endif
