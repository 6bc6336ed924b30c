/* Inside of the plan's texts: what the kinds of memory are called, and what makes them smaller. */
#ifndef LAUNCH_PLAN_LINES_H
#define LAUNCH_PLAN_LINES_H

#include "launch/plan/plan.h"

/* "kept activations". Static string. */
const char *pl_plan_name(pl_memory_kind kind);

/* What would make this kind smaller in this plan; NULL for nothing that is worth saying. Static
 * string. */
const char *pl_plan_remedy(const pl_plan *plan, pl_memory_kind kind);

/* How the amount comes about, in as many words as fit: "8 leaves of 12.3 MB"; "" for nothing to
 * say. */
enum { PL_PLAN_DETAIL = 96 };
void pl_plan_detail(const pl_plan *plan, pl_memory_kind kind, char text[PL_PLAN_DETAIL]);

#endif
