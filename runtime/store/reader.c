#include "runtime/store/reader.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/memory.h"

pl_status pl_reader_fail(const pl_reader *reader, const char *format, ...) {
  va_list args;
  va_start(args, format);
  pl_status status = pl_vfail_at(__FILE__, __LINE__, PL_E_DATA, format, args);
  va_end(args);
  if (reader->key) status = pl_context(status, "%s", reader->key);
  return pl_context(status, "%s:%zu", reader->name, reader->event.start_mark.line + 1);
}

static pl_status next(pl_reader *reader) {
  yaml_event_delete(&reader->event);
  if (!yaml_parser_parse(&reader->parser, &reader->event)) {
    size_t line = reader->parser.problem_mark.line + 1;
    const char *problem = reader->parser.problem;
    memset(&reader->event, 0, sizeof reader->event);
    return PL_FAIL(PL_E_DATA, "%s:%zu: not YAML: %s", reader->name, line,
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

static pl_status expect(pl_reader *reader, yaml_event_type_t type) {
  if (reader->event.type == type) return PL_OK;
  return pl_reader_fail(reader, "expected %s, found %s", event_name(type),
                        event_name(reader->event.type));
}

static pl_status next_expect(pl_reader *reader, yaml_event_type_t type) {
  PL_TRY(next(reader));
  return expect(reader, type);
}

static pl_status read_document(pl_reader *reader, pl_reader_value root, void *into) {
  PL_TRY(next_expect(reader, YAML_STREAM_START_EVENT));
  PL_TRY(next_expect(reader, YAML_DOCUMENT_START_EVENT));
  PL_TRY(next(reader));
  PL_TRY(root(reader, into));
  PL_TRY(next_expect(reader, YAML_DOCUMENT_END_EVENT));
  return next_expect(reader, YAML_STREAM_END_EVENT);
}

pl_status pl_reader_run(const char *name, const char *text, size_t size, pl_reader_value root,
                        void *into) {
  pl_reader reader = {.name = name};
  if (!yaml_parser_initialize(&reader.parser)) {
    return PL_FAIL(PL_E_INTERNAL, "out of memory: no YAML parser could be had");
  }
  yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, size);
  pl_status status = read_document(&reader, root, into);
  yaml_event_delete(&reader.event);
  yaml_parser_delete(&reader.parser);
  return status;
}

static const pl_reader_key *find_key(const pl_reader_key *keys, int count, const char *name) {
  for (int k = 0; k < count; k++) {
    if (strcmp(keys[k].name, name) == 0) return &keys[k];
  }
  return NULL;
}

pl_status pl_reader_mapping(pl_reader *reader, const pl_reader_key *keys, int count, void *into) {
  bool seen[PL_READER_KEYS] = {false};
  PL_INVARIANT(count <= PL_READER_KEYS);
  PL_TRY(expect(reader, YAML_MAPPING_START_EVENT));
  const char *outer = reader->key;
  for (;;) {
    reader->key = outer;
    PL_TRY(next(reader));
    if (reader->event.type == YAML_MAPPING_END_EVENT) break;
    const char *name;
    PL_TRY(pl_reader_text(reader, &name));
    const pl_reader_key *key = find_key(keys, count, name);
    if (!key) return pl_reader_fail(reader, "unknown key \"%.80s\"", name);
    if (seen[key - keys]) return pl_reader_fail(reader, "the key \"%.80s\" stands twice", name);
    seen[key - keys] = true;
    reader->key = key->name;
    PL_TRY(next(reader));
    PL_TRY(key->read(reader, (char *)into + key->offset));
  }
  for (int k = 0; k < count; k++) {
    if (!seen[k]) return pl_reader_fail(reader, "the key \"%s\" is missing", keys[k].name);
  }
  return PL_OK;
}

pl_status pl_reader_sequence(pl_reader *reader, pl_reader_value item, void *into) {
  PL_TRY(expect(reader, YAML_SEQUENCE_START_EVENT));
  for (;;) {
    PL_TRY(next(reader));
    if (reader->event.type == YAML_SEQUENCE_END_EVENT) return PL_OK;
    PL_TRY(item(reader, into));
  }
}

pl_status pl_reader_text(pl_reader *reader, const char **text) {
  PL_TRY(expect(reader, YAML_SCALAR_EVENT));
  *text = (const char *)reader->event.data.scalar.value;
  if (strlen(*text) != reader->event.data.scalar.length) {
    return pl_reader_fail(reader, "a zero byte inside a text");
  }
  return PL_OK;
}

pl_status pl_reader_count(pl_reader *reader, void *into) {
  const char *text;
  PL_TRY(pl_reader_text(reader, &text));
  errno = 0;
  char *end;
  long long number = strtoll(text, &end, 10);
  if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0) {
    return pl_reader_fail(reader, "\"%.40s\" is not a whole number from 0 to %lld", text,
                          LLONG_MAX);
  }
  *(int64_t *)into = number;
  return PL_OK;
}

pl_status pl_reader_grow(void **array, int count, size_t size) {
  if ((count & (count - 1)) != 0) return PL_OK;
  if (count > INT_MAX / 2) return PL_FAIL(PL_E_DATA, "a list of over %d items", INT_MAX / 2);
  void *larger = pl_alloc(count == 0 ? 1 : (size_t)count * 2, size);
  if (!larger) return PL_E_INTERNAL;
  if (*array) memcpy(larger, *array, (size_t)count * size);
  pl_free(*array);
  *array = larger;
  return PL_OK;
}
