#include "launch/train/rehearsal.h"

#include <stdio.h>
#include <string.h>

#include "comm/link.h"
#include "launch/device.h"
#include "launch/judge/embed.h"
#include "launch/train/saver_copy.h"
#include "launch/train/training.h"
#include "runtime/base/memory.h"
#include "runtime/base/threads.h"
#include "runtime/base/tree.h"
#include "runtime/cuda/cuda.h"

/* What MPI takes of a process, as measured (tests/bench/results/2026-11-22-plan.md). */
static const size_t mpi_bytes = (size_t)10 << 20;

/* What a GPU's context and the code of its libraries take of its memory, and of the host's. Not
 * measured yet: an allowance. */
static const size_t context_bytes = (size_t)700 << 20, context_host_bytes = (size_t)500 << 20;

/* The rank with most leaves; the lowest of them, which holds what only rank 0 does. */
static int fullest_rank(const pl_config *config, int ranks) {
  int fullest = 0;
  int64_t first, count, most = 0;
  for (int rank = 0; rank < ranks; rank++) {
    pl_tree_part(config->batch.global / config->batch.micro, ranks, rank, &first, &count);
    if (count <= most) continue;
    most = count;
    fullest = rank;
  }
  return fullest;
}

static pl_status reserve_copy(pl_training *t, pl_saver_copy *copy) {
  PL_MEMORY_FOR(PL_MEMORY_CHECKPOINT);
  pl_saver_setup setup = {.comm = t->comm,
                          .space = t->state.space,
                          .slice = t->state.slice,
                          .vectors = pl_state_sliced(&t->state, t->optim),
                          .replicated = pl_state_replicated(&t->state)};
  return pl_saver_copy_reserve(copy, &setup);
}

/* As a run ends: its pictures come when it has given back what steps need. */
static pl_status rehearse_pictures(pl_training *t) {
  PL_MEMORY_FOR(PL_MEMORY_JUDGING);
  if (t->config->report.samples == 0) return PL_OK;
  pl_training_free_steps(t);
  PL_TRY(pl_training_load_nets(t, PL_JUDGE_BY_BANK));
  const pl_embed_options options = {.limit = t->config->report.samples};
  pl_representations mine = {0};
  pl_status status = pl_embed_views(t->comm, t->config, t->queries ? t->queries : t->dataset,
                                    t->nets.encoder, &options, "pictures", &mine);
  pl_representations_free(&mine);
  return status;
}

static void describe(const pl_training *t, pl_plan *plan) {
  pl_net_costs costs = pl_method_costs(t->method);
  plan->precision = t->precision;
  plan->parameters = pl_space_trainable(t->state.space);
  plan->leaves = t->leaves;
  plan->gradient_sums = pl_tree_depth(t->leaves, pl_parts_levels(t->config, plan->ranks));
  pl_method_sent sent = pl_method_sent_bytes(t->method);
  plan->sent =
      (pl_plan_sent){.embeddings = sent.embeddings,
                     .statistics = sent.statistics,
                     .norms = sent.norms,
                     .gradients = pl_grad_reduce_sent_bytes(t->reduce),
                     .optimizer = pl_comm_sum_sent_bytes(t->comm, pl_optim_summed(t->optim)),
                     .image = pl_image_gather_sent_bytes(t->state.space, t->state.slice)};
  plan->step_flops =
      (double)t->leaves * (costs.backward_flops + (plan->recompute ? 2 : 1) * costs.forward_flops);
}

/* A run from its start to its end. */
static pl_status take_all(pl_training *t, pl_saver_copy *copy, pl_plan *plan) {
  double value;
  PL_TRY(pl_training_reserve(t));
  PL_TRY(reserve_copy(t, copy));
  PL_TRY(pl_training_start_loader(t));
  describe(t, plan);
  if (t->config->eval.every.amount > 0) PL_TRY(pl_training_judge(t, &value));
  pl_saver_copy_free(copy);
  return rehearse_pictures(t);
}

/* What a process of this program has besides all that is counted: code, libraries and their own
 * memory. Compiled kernels are still in their caches. */
static void add_program(const pl_comm *here, pl_plan *plan) {
  pl_memory_figures real;
  pl_account_read(&real);
  size_t counted = pl_memory_total(real.now[PL_ON_HOST]), resident = pl_resident_bytes();
  size_t *host = &plan->bytes[PL_ON_HOST][PL_MEMORY_PROGRAM];
  *host += resident > counted ? resident - counted : 0;
  if (plan->ranks > 1 && strcmp(pl_comm_backend(here), "mpi") != 0) *host += mpi_bytes;
  if (!plan->on_gpu || pl_cuda_is_open()) return;
  plan->bytes[PL_ON_DEVICE][PL_MEMORY_PROGRAM] += context_bytes;
  *host += context_host_bytes;
}

/* Whether the GPUs of a run exchange by a link: as those here do, and for ranks that are not here
 * as if each had a GPU of its own. */
static bool is_linked(const pl_comm *here, const pl_config *config, const pl_plan *plan) {
  if (plan->ranks == 1 || !plan->on_gpu) return false;
  if (pl_comm_size(here) > 1) return pl_link_is_open(here);
  return pl_link_built() && config->comm.transport != PL_CFG_TRANSPORT_HOST;
}

/* Counts and frees what a run takes. */
static pl_status count(const pl_comm *here, const pl_config *config, pl_plan *plan) {
  pl_training t = {.config = config, .threads = pl_threads_count(), .folder.lock = -1};
  pl_saver_copy copy = {0};
  pl_status status = pl_comm_create_pretended(plan->ranks, plan->rank, &t.comm);
  if (status == PL_OK) status = pl_device_plan(config, &t.backend);
  plan->on_gpu = t.backend && !t.backend->device->is_host;
  if (status == PL_OK && is_linked(here, config, plan)) pl_link_pretend(t.comm);
  if (status == PL_OK) status = take_all(&t, &copy, plan);
  pl_saver_copy_free(&copy);
  pl_training_free(&t);
  pl_comm_destroy(&t.comm);
  return status;
}

pl_status pl_rehearse(const pl_comm *here, const pl_config *config, int ranks, pl_plan *out) {
  *out = (pl_plan){.ranks = ranks,
                   .rank = fullest_rank(config, ranks),
                   .recompute = config->batch.activations == PL_CFG_ACTIVATIONS_RECOMPUTE,
                   .batch = config->batch.global,
                   .micro = config->batch.micro};
  pl_memory_figures figures;
  PL_TRY(pl_account_plan_begin());
  pl_status status = count(here, config, out);
  pl_account_plan_end(&figures);
  memcpy(out->bytes, figures.peak, sizeof out->bytes);
  add_program(here, out);
  return status;
}

/* ---- ways to need less ---- */

/* The configuration and number of ranks that a plan is of, and what is found. */
typedef struct search {
  const pl_comm *here;
  const pl_plan *plan;
  pl_plan_choices *out;
} search;

/* A configuration that would be refused, or that needs no less, is no way out. */
static void consider(const search *s, const pl_config *config, int ranks, const char *change) {
  pl_memory_place place = s->plan->on_gpu ? PL_ON_DEVICE : PL_ON_HOST;
  pl_plan other;
  if (s->out->count == PL_PLAN_CHOICES || pl_config_check(config) != PL_OK) return;
  if (pl_rehearse(s->here, config, ranks, &other) != PL_OK) return;
  if (pl_plan_total(&other, place) >= pl_plan_total(s->plan, place)) return;
  pl_plan_choice *choice = &s->out->choice[s->out->count++];
  for (int p = 0; p < PL_MEMORY_PLACES; p++) {
    choice->bytes[p] = pl_plan_total(&other, (pl_memory_place)p);
  }
  snprintf(choice->change, sizeof choice->change, "%s", change);
}

/* Smaller micro-batches than those of `config`, which `before` names. */
static void consider_micro(const search *s, const pl_config *config, const char *before) {
  enum { HALVINGS = 3 };
  pl_config other = *config;
  char change[64];
  for (int i = 0; i < HALVINGS && other.batch.micro % 2 == 0; i++) {
    other.batch.micro /= 2;
    snprintf(change, sizeof change, "%sbatch.micro=%lld", before, (long long)other.batch.micro);
    consider(s, &other, s->plan->ranks, change);
  }
}

static void consider_all(const search *s, const pl_config *config, pl_config *other) {
  char change[64];
  int ranks = s->plan->ranks;
  consider_micro(s, config, "");
  *other = *config;
  if (config->train.precision != PL_CFG_PRECISION_BF16) {
    other->train.precision = PL_CFG_PRECISION_BF16;
    consider(s, other, ranks, "train.precision=bf16");
    *other = *config;
  }
  if (!s->plan->recompute) {
    other->batch.activations = PL_CFG_ACTIVATIONS_RECOMPUTE;
    consider(s, other, ranks, "batch.activations=recompute");
    consider_micro(s, other, "batch.activations=recompute ");
  }
  snprintf(change, sizeof change, "%d ranks", 2 * ranks);
  consider(s, config, 2 * ranks, change);
}

pl_status pl_rehearse_choices(const pl_comm *here, const pl_config *config, const pl_plan *plan,
                              pl_plan_choices *out) {
  *out = (pl_plan_choices){0};
  const search s = {.here = here, .plan = plan, .out = out};
  pl_config *other = pl_alloc(1, sizeof *other);
  if (!other) return PL_E_INTERNAL;
  consider_all(&s, config, other);
  pl_account_forget_refusal(); /* of what was considered in vain */
  pl_free(other);
  return PL_OK;
}
