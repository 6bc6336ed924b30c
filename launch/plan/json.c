/* A plan as programs read it. */
#include "launch/plan/plan.h"

void pl_memory_print_json(FILE *out, const size_t bytes[PL_MEMORY_KINDS]) {
  fputc('{', out);
  for (int kind = 0; kind < PL_MEMORY_KINDS; kind++) {
    fprintf(out, "\"%s\":%zu,", pl_memory_kind_name((pl_memory_kind)kind), bytes[kind]);
  }
  fprintf(out, "\"total\":%zu}", pl_memory_total(bytes));
}

void pl_plan_print_json(FILE *out, const pl_plan *plan, const pl_plan_choices *choices) {
  const pl_plan_sent *sent = &plan->sent;
  fprintf(out, "{\"ranks\":%d,\"rank\":%d,\"device\":\"%s\",\"precision\":\"%s\"", plan->ranks,
          plan->rank, plan->on_gpu ? "cuda" : "cpu", pl_dtype_name(plan->precision));
  fprintf(out, ",\"parameters\":%lld,\"batch\":%lld,\"micro\":%lld", (long long)plan->parameters,
          (long long)plan->batch, (long long)plan->micro);
  fprintf(out, ",\"leaves\":%lld,\"samples\":%lld,\"flops\":%.17g,\"bytes\":{\"host\":",
          (long long)plan->leaves, (long long)pl_plan_samples(plan), plan->step_flops);
  pl_memory_print_json(out, plan->bytes[PL_ON_HOST]);
  fputs(",\"device\":", out);
  pl_memory_print_json(out, plan->bytes[PL_ON_DEVICE]);
  fprintf(out, "},\"sent\":{\"embeddings\":%zu,\"statistics\":%zu,\"norms\":%zu", sent->embeddings,
          sent->statistics, sent->norms);
  fprintf(out,
          ",\"gradients\":%zu,\"optimizer\":%zu,\"parameters\":%zu,\"total\":%zu},\"choices\":[",
          sent->gradients, sent->optimizer, sent->image, pl_plan_sent_total(plan));
  for (int i = 0; i < choices->count; i++) {
    const pl_plan_choice *c = &choices->choice[i];
    fprintf(out, "%s{\"change\":\"%s\",\"host\":%zu,\"device\":%zu}", i > 0 ? "," : "", c->change,
            c->bytes[PL_ON_HOST], c->bytes[PL_ON_DEVICE]);
  }
  fprintf(out, "]}\n");
}
