/* Strict reading of a YAML text whose shape is known: the manifests of checkpoints and datasets.
 *
 * A mapping is read by a table of its keys, each with the function that reads the value. Every key
 * must be there, once, and no other; so what nests deeper, repeats or refers (aliases) than the
 * tables say is refused where it starts. Messages name the text, line and key. */
#ifndef PL_BASE_YAML_H
#define PL_BASE_YAML_H

#include <stdint.h>
#include <yaml.h>

#include "runtime/base/status.h"

/* The event at hand is the first of a value when a value's function is called, and must be the last
 * of it when that returns. */
typedef struct pl_yaml {
  const char *name; /* of the text, for messages */
  const char *key;  /* whose value is being read */
  yaml_parser_t parser;
  yaml_event_t event;
} pl_yaml;

typedef pl_status (*pl_yaml_value)(pl_yaml *yaml, void *into);

typedef struct pl_yaml_key {
  const char *name;
  pl_yaml_value read;
  size_t offset; /* of what `read` fills, inside the struct of the mapping */
} pl_yaml_key;

enum { PL_YAML_KEYS = 32 }; /* at most, in one mapping */

/* Reads a text of one document, whose root is read by `root`. */
pl_status pl_yaml_read(const char *name, const char *text, size_t size, pl_yaml_value root,
                       void *into);

/* PL_E_DATA with text name, line and key in front. */
pl_status pl_yaml_fail(const pl_yaml *yaml, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

pl_status pl_yaml_mapping(pl_yaml *yaml, const pl_yaml_key *keys, int count, void *into);

/* Calls `item` with `into` for each item. */
pl_status pl_yaml_sequence(pl_yaml *yaml, pl_yaml_value item, void *into);

/* A scalar without zero bytes; valid until the next event. */
pl_status pl_yaml_text(pl_yaml *yaml, const char **text);

/* A whole number, 0 … INT64_MAX, into an int64_t. */
pl_status pl_yaml_count(pl_yaml *yaml, void *into);

/* A whole number from `low` to `high`. */
pl_status pl_yaml_within(pl_yaml *yaml, int64_t low, int64_t high, int64_t *into);

/* An xxHash128 as text, into PL_HASH_TEXT characters. */
pl_status pl_yaml_hash(pl_yaml *yaml, void *into);

#endif
