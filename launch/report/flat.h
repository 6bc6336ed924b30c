/* A small text of YAML, or of JSON, which is YAML too: scalar by scalar, each with its dotted name.
 * What the report reads comes from runs of any version, so names are not checked here. */
#ifndef LAUNCH_REPORT_FLAT_H
#define LAUNCH_REPORT_FLAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_flat_value {
  const char *name; /* "loss", "slowest_ms.data"; lists add nothing to it */
  int64_t item;     /* place in the innermost list around it; -1 outside of lists */
  const char *text; /* an empty list is the one value "[]" */
  bool quoted;
} pl_flat_value;

/* Takes one value, valid during the call; an error ends the reading. */
typedef pl_status (*pl_flat_sink)(void *context, const pl_flat_value *value);

/* Hands the values of one mapping to `sink` in their order; with `braces` the mapping must be
 * written in them, as an object of JSON is. `file` and `line`, where the text begins, are for
 * messages. PL_E_DATA: "file:line: …". */
pl_status pl_flat_read(const char *file, int64_t line, const char *text, size_t size, bool braces,
                       pl_flat_sink sink, void *context);

#endif
