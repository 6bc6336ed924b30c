/* Strict reading of a small YAML document through libyaml. Inside runtime/data only. */
#ifndef PL_DATA_YAML_H
#define PL_DATA_YAML_H

#include <stddef.h>
#include <stdint.h>
#include <yaml.h>

#include "runtime/base/status.h"

typedef struct pl_yaml {
  const char *name; /* of the file, for messages */
  yaml_document_t document;
  int loaded;
} pl_yaml;

/* One key of a mapping: exactly one of the targets is set. All keys must be there, once. */
typedef struct pl_yaml_field {
  const char *key;
  int64_t *number;
  const char **word; /* points into the document */
  yaml_node_t **node;
  int64_t low, high; /* of number */
} pl_yaml_field;

/* Loads the one document in `text`, which must not be empty. Free it also after a failure. */
pl_status pl_yaml_load(pl_yaml *yaml, const char *text, size_t size);
void pl_yaml_free(pl_yaml *yaml);

/* PL_E_DATA with "name:line: " in front. */
pl_status pl_yaml_fail(const pl_yaml *yaml, const yaml_node_t *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value of a key; NULL if it is not there or `mapping` is none. */
yaml_node_t *pl_yaml_find(const pl_yaml *yaml, const yaml_node_t *mapping, const char *key);

/* Reads a mapping that has these keys and no others; `what` names it in messages. */
pl_status pl_yaml_read_mapping(const pl_yaml *yaml, const yaml_node_t *mapping, const char *what,
                               const pl_yaml_field *fields, size_t count);

pl_status pl_yaml_word(const pl_yaml *yaml, const yaml_node_t *node, const char *what,
                       const char **word);
pl_status pl_yaml_number(const pl_yaml *yaml, const yaml_node_t *node, const char *what,
                         int64_t low, int64_t high, int64_t *number);

/* Checks that `list` is a sequence of so many items, and counts them. */
pl_status pl_yaml_sequence(const pl_yaml *yaml, const yaml_node_t *list, const char *what,
                           int least, int most, int *count);
yaml_node_t *pl_yaml_item(const pl_yaml *yaml, const yaml_node_t *list, int index);

#endif
