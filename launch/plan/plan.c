#include "launch/plan/plan.h"

#include <string.h>

#include "launch/plan/lines.h"
#include "launch/plan/size.h"

size_t pl_plan_total(const pl_plan *plan, pl_memory_place place) {
  return pl_memory_total(plan->bytes[place]);
}

size_t pl_plan_sent_total(const pl_plan *plan) {
  const pl_plan_sent *s = &plan->sent;
  return s->embeddings + s->statistics + s->norms + s->gradients + s->optimizer + s->image;
}

int64_t pl_plan_samples(const pl_plan *plan) { return plan->leaves * plan->micro; }

pl_memory_kind pl_plan_largest(const pl_plan *plan, pl_memory_place place) {
  int largest = 0;
  for (int kind = 1; kind < PL_MEMORY_KINDS; kind++) {
    if (plan->bytes[place][kind] > plan->bytes[place][largest]) largest = kind;
  }
  return (pl_memory_kind)largest;
}

/* Adds to a line what fits. */
static void add(char line[PL_PLAN_LINE], const char *text) {
  size_t used = strlen(line);
  snprintf(line + used, PL_PLAN_LINE - used, "%s", text);
}

void pl_plan_line(const pl_plan *plan, pl_memory_place place, char line[PL_PLAN_LINE]) {
  enum { SHOWN = 5 };
  pl_plan left = *plan;
  char size[PL_SIZE_TEXT];
  line[0] = '\0';
  for (int i = 0; i < SHOWN; i++) {
    pl_memory_kind kind = pl_plan_largest(&left, place);
    if (left.bytes[place][kind] == 0) break;
    add(line, i == 0 ? "" : ", ");
    add(line, pl_plan_name(kind));
    add(line, " ");
    add(line, pl_size_text(left.bytes[place][kind], size));
    left.bytes[place][kind] = 0;
  }
  size_t rest = pl_plan_total(&left, place);
  if (rest > 0) {
    add(line, ", the rest ");
    add(line, pl_size_text(rest, size));
  }
  add(line, "; together ");
  add(line, pl_size_text(pl_plan_total(plan, place), size));
}
