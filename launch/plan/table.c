/* A plan as people read it. */
#include "launch/plan/lines.h"
#include "launch/plan/size.h"

/* Amounts below this part of their column's total are told together. */
enum { SMALL_PART = 1000 };

static bool is_small(const pl_plan *plan, pl_memory_place place, pl_memory_kind kind) {
  return plan->bytes[place][kind] < pl_plan_total(plan, place) / SMALL_PART;
}

/* One column, or where a GPU computes two. */
static void print_sizes(FILE *out, const pl_plan *plan, size_t host, size_t device) {
  char size[PL_SIZE_TEXT];
  fprintf(out, "%12s", host > 0 ? pl_size_text(host, size) : "-");
  if (plan->on_gpu) fprintf(out, "%12s", device > 0 ? pl_size_text(device, size) : "-");
}

/* Of what can be chosen: the program can't. */
static bool is_largest(const pl_plan *plan, pl_memory_kind kind) {
  pl_plan chosen = *plan;
  chosen.bytes[PL_ON_HOST][PL_MEMORY_PROGRAM] = chosen.bytes[PL_ON_DEVICE][PL_MEMORY_PROGRAM] = 0;
  return kind == pl_plan_largest(&chosen, plan->on_gpu ? PL_ON_DEVICE : PL_ON_HOST);
}

static void print_kind(FILE *out, const pl_plan *plan, pl_memory_kind kind) {
  size_t host = is_small(plan, PL_ON_HOST, kind) ? 0 : plan->bytes[PL_ON_HOST][kind];
  size_t device = is_small(plan, PL_ON_DEVICE, kind) ? 0 : plan->bytes[PL_ON_DEVICE][kind];
  char detail[PL_PLAN_DETAIL];
  if (host == 0 && device == 0) return;
  fprintf(out, "  %-20s", pl_plan_name(kind));
  print_sizes(out, plan, host, device);
  pl_plan_detail(plan, kind, detail);
  if (detail[0] != '\0') fprintf(out, "  %s", detail);
  const char *remedy = is_largest(plan, kind) ? pl_plan_remedy(plan, kind) : NULL;
  if (is_largest(plan, kind)) fprintf(out, "  <- largest");
  if (remedy) fprintf(out, "; smaller with %s", remedy);
  fputc('\n', out);
}

static void print_rest(FILE *out, const pl_plan *plan) {
  size_t rest[PL_MEMORY_PLACES] = {0};
  for (int place = 0; place < PL_MEMORY_PLACES; place++) {
    for (int kind = 0; kind < PL_MEMORY_KINDS; kind++) {
      if (is_small(plan, (pl_memory_place)place, (pl_memory_kind)kind))
        rest[place] += plan->bytes[place][kind];
    }
  }
  if (rest[PL_ON_HOST] == 0 && rest[PL_ON_DEVICE] == 0) return;
  fprintf(out, "  %-20s", "the rest");
  print_sizes(out, plan, rest[PL_ON_HOST], rest[PL_ON_DEVICE]);
  fprintf(out, "  each less than a thousandth\n");
}

static void print_sent(FILE *out, const char *what, size_t bytes) {
  char size[PL_SIZE_TEXT];
  if (bytes > 0) fprintf(out, "  %-20s%12s\n", what, pl_size_text(bytes, size));
}

static void print_head(FILE *out, const pl_plan *plan) {
  fprintf(out, "rank %d of %d, which holds as much as any\n\n", plan->rank, plan->ranks);
  fprintf(out, "  %.2f M parameters, %s, networks on %s\n", (double)plan->parameters / 1e6,
          pl_dtype_name(plan->precision), plan->on_gpu ? "a GPU" : "the processor");
  fprintf(out, "  %lld of %lld samples a step, in %lld micro-batches of %lld\n",
          (long long)pl_plan_samples(plan), (long long)plan->batch, (long long)plan->leaves,
          (long long)plan->micro);
  fprintf(out, "  %.4g TFLOP a step in its networks\n\n", plan->step_flops / 1e12);
}

void pl_plan_print(FILE *out, const pl_plan *plan, const pl_plan_choices *choices) {
  print_head(out, plan);
  fprintf(out, plan->on_gpu ? "%-22s%12s%12s\n" : "%-22s%12s\n", "memory", "host", "GPU");
  for (int kind = PL_MEMORY_PROGRAM + 1; kind < PL_MEMORY_KINDS; kind++) {
    print_kind(out, plan, (pl_memory_kind)kind);
  }
  print_kind(out, plan, PL_MEMORY_PROGRAM);
  print_rest(out, plan);
  fprintf(out, "  %-20s", "total");
  print_sizes(out, plan, pl_plan_total(plan, PL_ON_HOST), pl_plan_total(plan, PL_ON_DEVICE));
  fputc('\n', out);
  if (plan->ranks > 1) {
    fprintf(out, "\nsent in a step\n");
    print_sent(out, "embeddings", plan->sent.embeddings);
    print_sent(out, "loss statistics", plan->sent.statistics);
    print_sent(out, "batch norms", plan->sent.norms);
    print_sent(out, "gradients", plan->sent.gradients);
    print_sent(out, "norms of gradients", plan->sent.optimizer);
    print_sent(out, "parameters", plan->sent.image);
    print_sent(out, "total", pl_plan_sent_total(plan));
  }
  if (choices->count > 0) fprintf(out, "\ntotal with\n");
  for (int i = 0; i < choices->count; i++) {
    const pl_plan_choice *c = &choices->choice[i];
    fprintf(out, "  %-44s", c->change);
    print_sizes(out, plan, c->bytes[PL_ON_HOST], c->bytes[PL_ON_DEVICE]);
    fputc('\n', out);
  }
}
