#include "launch/report/flat.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

enum { NAME_BYTES = 256, DEPTH_MAX = 8 };

typedef struct reader {
  const char *file;
  int64_t line;
  yaml_parser_t parser;
  yaml_event_t event; /* the one being looked at */
  char name[NAME_BYTES];
  pl_flat_sink sink;
  void *context;
} reader;

/* Puts the place in front of the reason of a failed call. */
static pl_status placed(const reader *r, yaml_mark_t mark, pl_status status) {
  return pl_context(status, "%s:%lld", r->file, (long long)r->line + (long long)mark.line);
}

static pl_status next_event(reader *r) {
  yaml_event_delete(&r->event);
  if (yaml_parser_parse(&r->parser, &r->event)) return PL_OK;
  if (r->parser.error == YAML_MEMORY_ERROR) {
    return PL_FAIL(PL_E_INTERNAL, "out of memory: cannot read %s", r->file);
  }
  /* Bytes that are no text are found ahead of the parser, where it has no mark of them. */
  yaml_mark_t mark = r->parser.error == YAML_READER_ERROR ? r->parser.mark : r->parser.problem_mark;
  const char *problem = r->parser.problem ? r->parser.problem : "not readable";
  return placed(r, mark, PL_FAIL(PL_E_DATA, "%s", problem));
}

/* The event's scalar, as a C string. */
static pl_status scalar_text(const reader *r, const char **text) {
  *text = (const char *)r->event.data.scalar.value;
  if (strlen(*text) == r->event.data.scalar.length) return PL_OK;
  return placed(r, r->event.start_mark, PL_FAIL(PL_E_DATA, "a text holds a zero byte"));
}

static pl_status hand_over(reader *r, int64_t item, const char *text, bool quoted) {
  pl_flat_value value = {.name = r->name, .item = item, .text = text, .quoted = quoted};
  return placed(r, r->event.start_mark, r->sink(r->context, &value));
}

static pl_status read_node(reader *r, size_t length, int64_t item, int depth);

/* `length` bytes of the name are those of the groups around. */
static pl_status read_mapping(reader *r, size_t length, int64_t item, int depth) {
  for (;;) {
    const char *key = "";
    PL_TRY(next_event(r));
    if (r->event.type == YAML_MAPPING_END_EVENT) break;
    if (r->event.type != YAML_SCALAR_EVENT) {
      return placed(r, r->event.start_mark, PL_FAIL(PL_E_DATA, "a name is no word"));
    }
    PL_TRY(scalar_text(r, &key));
    size_t room = NAME_BYTES - length;
    int added = snprintf(r->name + length, room, "%s%s", length > 0 ? "." : "", key);
    if ((size_t)added >= room) {
      return placed(r, r->event.start_mark, PL_FAIL(PL_E_DATA, "a name is too long"));
    }
    PL_TRY(next_event(r));
    PL_TRY(read_node(r, length + (size_t)added, item, depth + 1));
  }
  r->name[length] = '\0';
  return PL_OK;
}

static pl_status read_list(reader *r, size_t length, int depth) {
  for (int64_t item = 0;; item++) {
    PL_TRY(next_event(r));
    if (r->event.type == YAML_SEQUENCE_END_EVENT) {
      return item == 0 ? hand_over(r, -1, "[]", false) : PL_OK;
    }
    PL_TRY(read_node(r, length, item, depth + 1));
  }
}

static pl_status read_node(reader *r, size_t length, int64_t item, int depth) {
  if (depth > DEPTH_MAX) {
    return placed(r, r->event.start_mark, PL_FAIL(PL_E_DATA, "nested too deeply"));
  }
  const char *text = "";
  switch (r->event.type) {
    case YAML_SCALAR_EVENT:
      PL_TRY(scalar_text(r, &text));
      return hand_over(r, item, text, r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE);
    case YAML_MAPPING_START_EVENT: return read_mapping(r, length, item, depth);
    case YAML_SEQUENCE_START_EVENT: return read_list(r, length, depth);
    default: return placed(r, r->event.start_mark, PL_FAIL(PL_E_DATA, "aliases are not accepted"));
  }
}

static pl_status read_document(reader *r, bool braces) {
  PL_TRY(next_event(r)); /* the stream begins */
  PL_TRY(next_event(r)); /* the document */
  if (r->event.type == YAML_DOCUMENT_START_EVENT) PL_TRY(next_event(r));
  if (r->event.type != YAML_MAPPING_START_EVENT ||
      (braces && r->event.data.mapping_start.style != YAML_FLOW_MAPPING_STYLE)) {
    return placed(r, r->event.start_mark,
                  PL_FAIL(PL_E_DATA, braces ? "this is no JSON object" : "no mapping of keys"));
  }
  PL_TRY(read_node(r, 0, -1, 0));
  PL_TRY(next_event(r)); /* the document ends */
  PL_TRY(next_event(r));
  if (r->event.type == YAML_STREAM_END_EVENT) return PL_OK;
  return placed(r, r->event.start_mark, PL_FAIL(PL_E_DATA, "something follows after the end"));
}

pl_status pl_flat_read(const char *file, int64_t line, const char *text, size_t size, bool braces,
                       pl_flat_sink sink, void *context) {
  reader r = {.file = file, .line = line, .sink = sink, .context = context};
  if (!yaml_parser_initialize(&r.parser)) {
    return PL_FAIL(PL_E_INTERNAL, "out of memory: no parser for %s", file);
  }
  yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, size);
  pl_status status = read_document(&r, braces);
  yaml_event_delete(&r.event);
  yaml_parser_delete(&r.parser);
  return status;
}
