#include "runtime/base/yaml.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/hash.h"

pl_status pl_yaml_fail(const pl_yaml *yaml, const char *format, ...) {
  va_list args;
  va_start(args, format);
  pl_status status = pl_vfail_at(__FILE__, __LINE__, PL_E_DATA, format, args);
  va_end(args);
  if (yaml->key) status = pl_context(status, "%s", yaml->key);
  return pl_context(status, "%s:%zu", yaml->name, yaml->event.start_mark.line + 1);
}

static pl_status next(pl_yaml *yaml) {
  yaml_event_delete(&yaml->event);
  if (!yaml_parser_parse(&yaml->parser, &yaml->event)) {
    size_t line = yaml->parser.problem_mark.line + 1;
    const char *problem = yaml->parser.problem;
    memset(&yaml->event, 0, sizeof yaml->event);
    return PL_FAIL(PL_E_DATA, "%s:%zu: not YAML: %s", yaml->name, line,
                   problem ? problem : "unreadable");
  }
  return PL_OK;
}

static const char *event_name(yaml_event_type_t type) {
  switch (type) {
    case YAML_SCALAR_EVENT: return "a word";
    case YAML_SEQUENCE_START_EVENT: return "a list";
    case YAML_MAPPING_START_EVENT: return "a group of keys";
    case YAML_ALIAS_EVENT: return "an alias";
    case YAML_DOCUMENT_START_EVENT: return "a document";
    default: return "an end";
  }
}

static pl_status expect(pl_yaml *yaml, yaml_event_type_t type) {
  if (yaml->event.type == type) return PL_OK;
  return pl_yaml_fail(yaml, "expected %s, found %s", event_name(type),
                      event_name(yaml->event.type));
}

static pl_status next_expect(pl_yaml *yaml, yaml_event_type_t type) {
  PL_TRY(next(yaml));
  return expect(yaml, type);
}

static pl_status read_document(pl_yaml *yaml, pl_yaml_value root, void *into) {
  PL_TRY(next_expect(yaml, YAML_STREAM_START_EVENT));
  PL_TRY(next_expect(yaml, YAML_DOCUMENT_START_EVENT));
  PL_TRY(next(yaml));
  PL_TRY(root(yaml, into));
  PL_TRY(next_expect(yaml, YAML_DOCUMENT_END_EVENT));
  return next_expect(yaml, YAML_STREAM_END_EVENT);
}

pl_status pl_yaml_read(const char *name, const char *text, size_t size, pl_yaml_value root,
                       void *into) {
  pl_yaml yaml = {.name = name};
  if (!yaml_parser_initialize(&yaml.parser)) {
    return PL_FAIL(PL_E_INTERNAL, "out of memory: no YAML parser could be had");
  }
  yaml_parser_set_input_string(&yaml.parser, (const unsigned char *)text, size);
  pl_status status = read_document(&yaml, root, into);
  yaml_event_delete(&yaml.event);
  yaml_parser_delete(&yaml.parser);
  return status;
}

static const pl_yaml_key *find_key(const pl_yaml_key *keys, int count, const char *name) {
  for (int k = 0; k < count; k++) {
    if (strcmp(keys[k].name, name) == 0) return &keys[k];
  }
  return NULL;
}

pl_status pl_yaml_mapping(pl_yaml *yaml, const pl_yaml_key *keys, int count, void *into) {
  bool seen[PL_YAML_KEYS] = {false};
  PL_INVARIANT(count <= PL_YAML_KEYS);
  PL_TRY(expect(yaml, YAML_MAPPING_START_EVENT));
  const char *outer = yaml->key;
  for (;;) {
    yaml->key = outer;
    PL_TRY(next(yaml));
    if (yaml->event.type == YAML_MAPPING_END_EVENT) break;
    const char *name;
    PL_TRY(pl_yaml_text(yaml, &name));
    const pl_yaml_key *key = find_key(keys, count, name);
    if (!key) return pl_yaml_fail(yaml, "unknown key \"%.80s\"", name);
    if (seen[key - keys]) return pl_yaml_fail(yaml, "the key \"%.80s\" stands twice", name);
    seen[key - keys] = true;
    yaml->key = key->name;
    PL_TRY(next(yaml));
    PL_TRY(key->read(yaml, (char *)into + key->offset));
  }
  for (int k = 0; k < count; k++) {
    if (!seen[k]) return pl_yaml_fail(yaml, "the key \"%s\" is missing", keys[k].name);
  }
  return PL_OK;
}

pl_status pl_yaml_sequence(pl_yaml *yaml, pl_yaml_value item, void *into) {
  PL_TRY(expect(yaml, YAML_SEQUENCE_START_EVENT));
  for (;;) {
    PL_TRY(next(yaml));
    if (yaml->event.type == YAML_SEQUENCE_END_EVENT) return PL_OK;
    PL_TRY(item(yaml, into));
  }
}

pl_status pl_yaml_text(pl_yaml *yaml, const char **text) {
  PL_TRY(expect(yaml, YAML_SCALAR_EVENT));
  *text = (const char *)yaml->event.data.scalar.value;
  if (strlen(*text) != yaml->event.data.scalar.length) {
    return pl_yaml_fail(yaml, "a zero byte inside a text");
  }
  return PL_OK;
}

pl_status pl_yaml_count(pl_yaml *yaml, void *into) {
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  errno = 0;
  char *end;
  long long number = strtoll(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
    return pl_yaml_fail(yaml, "\"%.40s\" is not a whole number from 0 to %lld", text, LLONG_MAX);
  }
  *(int64_t *)into = number;
  return PL_OK;
}

pl_status pl_yaml_within(pl_yaml *yaml, int64_t low, int64_t high, int64_t *into) {
  PL_TRY(pl_yaml_count(yaml, into));
  if (*into >= low && *into <= high) return PL_OK;
  return pl_yaml_fail(yaml, "%lld is not from %lld to %lld", (long long)*into, (long long)low,
                      (long long)high);
}

pl_status pl_yaml_hash(pl_yaml *yaml, void *into) {
  enum { DIGITS = PL_HASH_TEXT - 1 };
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  if (strlen(text) != DIGITS || strspn(text, "0123456789abcdef") != DIGITS) {
    return pl_yaml_fail(yaml, "\"%.40s\" is not a hash of %d hex digits", text, DIGITS);
  }
  memcpy(into, text, PL_HASH_TEXT);
  return PL_OK;
}
