#include "runtime/data/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 16 };

/* libyaml's accessor takes a pointer to a document that it does not change. */
static yaml_node_t *node_at(const pl_yaml *yaml, int index) {
  return yaml_document_get_node((yaml_document_t *)&yaml->document, index);
}

pl_status pl_yaml_load(pl_yaml *yaml, const char *text, size_t size) {
  pl_status status = PL_OK;
  yaml_parser_t parser;
  if (!yaml_parser_initialize(&parser)) {
    return PL_FAIL(PL_E_INTERNAL, "out of memory: no YAML parser for %s", yaml->name);
  }
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, size);
  yaml->loaded = yaml_parser_load(&parser, &yaml->document);
  if (!yaml->loaded) {
    status = PL_FAIL(PL_E_DATA, "%s:%zu: %s", yaml->name, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "not YAML");
  } else if (!yaml_document_get_root_node(&yaml->document)) {
    status = PL_FAIL(PL_E_DATA, "%s is empty", yaml->name);
  }
  yaml_parser_delete(&parser);
  return status;
}

void pl_yaml_free(pl_yaml *yaml) {
  if (yaml->loaded) yaml_document_delete(&yaml->document);
  yaml->loaded = 0;
}

pl_status pl_yaml_fail(const pl_yaml *yaml, const yaml_node_t *node, const char *format, ...) {
  va_list args;
  va_start(args, format);
  pl_status status = pl_vfail_at(__FILE__, __LINE__, PL_E_DATA, format, args);
  va_end(args);
  return pl_context(status, "%s:%zu", yaml->name, node->start_mark.line + 1);
}

pl_status pl_yaml_word(const pl_yaml *yaml, const yaml_node_t *node, const char *what,
                       const char **word) {
  if (node->type != YAML_SCALAR_NODE) return pl_yaml_fail(yaml, node, "%s must be a word", what);
  *word = (const char *)node->data.scalar.value;
  if (strlen(*word) != node->data.scalar.length || **word == '\0') {
    return pl_yaml_fail(yaml, node, "%s is empty or holds a zero byte", what);
  }
  return PL_OK;
}

pl_status pl_yaml_number(const pl_yaml *yaml, const yaml_node_t *node, const char *what,
                         int64_t low, int64_t high, int64_t *number) {
  const char *word = "";
  char *end = NULL;
  PL_TRY(pl_yaml_word(yaml, node, what, &word));
  errno = 0;
  *number = strtoll(word, &end, 10);
  if (*end != '\0' || strspn(word, "0123456789") != strlen(word) || errno != 0) {
    return pl_yaml_fail(yaml, node, "%s is \"%s\", which is no whole number", what, word);
  }
  if (*number < low || *number > high) {
    return pl_yaml_fail(yaml, node, "%s is %lld; it must be %lld to %lld", what, (long long)*number,
                        (long long)low, (long long)high);
  }
  return PL_OK;
}

yaml_node_t *pl_yaml_find(const pl_yaml *yaml, const yaml_node_t *mapping, const char *key) {
  if (mapping->type != YAML_MAPPING_NODE) return NULL;
  const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
  for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < end; pair++) {
    const yaml_node_t *name = node_at(yaml, pair->key);
    if (name->type == YAML_SCALAR_NODE && strcmp((char *)name->data.scalar.value, key) == 0) {
      return node_at(yaml, pair->value);
    }
  }
  return NULL;
}

static pl_status read_field(const pl_yaml *yaml, yaml_node_t *value, const pl_yaml_field *field) {
  if (field->number) {
    return pl_yaml_number(yaml, value, field->key, field->low, field->high, field->number);
  }
  if (field->word) return pl_yaml_word(yaml, value, field->key, field->word);
  *field->node = value;
  return PL_OK;
}

pl_status pl_yaml_read_mapping(const pl_yaml *yaml, const yaml_node_t *mapping, const char *what,
                               const pl_yaml_field *fields, size_t count) {
  bool seen[FIELDS_MAX] = {false};
  PL_INVARIANT(count <= FIELDS_MAX);
  if (mapping->type != YAML_MAPPING_NODE) {
    return pl_yaml_fail(yaml, mapping, "%s must be a mapping of keys to values", what);
  }
  const yaml_node_pair_t *end = mapping->data.mapping.pairs.top;
  for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < end; pair++) {
    const yaml_node_t *name = node_at(yaml, pair->key);
    const char *key = "";
    PL_TRY(pl_yaml_word(yaml, name, "key", &key));
    size_t i = 0;
    while (i < count && strcmp(fields[i].key, key) != 0) i++;
    if (i == count) return pl_yaml_fail(yaml, name, "unknown key \"%s\" of %s", key, what);
    if (seen[i]) return pl_yaml_fail(yaml, name, "key \"%s\" of %s given twice", key, what);
    seen[i] = true;
    PL_TRY(read_field(yaml, node_at(yaml, pair->value), &fields[i]));
  }
  for (size_t i = 0; i < count; i++) {
    if (!seen[i]) {
      return pl_yaml_fail(yaml, mapping, "key \"%s\" of %s is missing", fields[i].key, what);
    }
  }
  return PL_OK;
}

pl_status pl_yaml_sequence(const pl_yaml *yaml, const yaml_node_t *list, const char *what,
                           int least, int most, int *count) {
  if (list->type != YAML_SEQUENCE_NODE) return pl_yaml_fail(yaml, list, "%s must be a list", what);
  ptrdiff_t items = list->data.sequence.items.top - list->data.sequence.items.start;
  if (items < least || items > most) {
    return pl_yaml_fail(yaml, list, "%s has %lld entries; there must be %d to %d", what,
                        (long long)items, least, most);
  }
  *count = (int)items;
  return PL_OK;
}

yaml_node_t *pl_yaml_item(const pl_yaml *yaml, const yaml_node_t *list, int index) {
  return node_at(yaml, list->data.sequence.items.start[index]);
}
