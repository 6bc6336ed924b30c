/* YAML into pl_config, event by event: each value is set as it is met, so that an error carries the
 * place of what caused it. Of YAML, only mappings, lists of scalars and scalars are accepted;
 * anchors, aliases, tags and further documents are refused instead of being half understood. */
#include <string.h>
#include <yaml.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/config/keys.h"
#include "runtime/config/text.h"

enum { DEPTH_MAX = 8, FILE_MAX_BYTES = 256 * 1024 };

typedef struct reader {
  yaml_parser_t parser;
  yaml_event_t event;     /* the one being looked at */
  const char *file;       /* for messages; NULL for an override */
  const char *assignment; /* the override */
  pl_config *config;
  bool key_given[PL_KEY_MAX], group_given[PL_GROUP_MAX]; /* in this text */
  char name[2 * PL_KEY_NAME];                            /* dotted name of what is being read */
} reader;

/* Puts the place in front of the reason of a failed call. */
static pl_status placed(const reader *r, yaml_mark_t mark, pl_status status) {
  if (!r->file) return pl_context(status, "override '%s'", r->assignment);
  return pl_context(status, "%s:%zu:%zu", r->file, mark.line + 1, mark.column + 1);
}

static pl_status syntax_error(const reader *r) {
  const yaml_parser_t *parser = &r->parser;
  if (parser->error == YAML_MEMORY_ERROR) return PL_FAIL(PL_E_INTERNAL, "out of memory for YAML");
  const char *problem = parser->problem ? parser->problem : "not YAML";
  if (parser->error == YAML_READER_ERROR) { /* such errors have no mark */
    pl_status status = PL_FAIL(PL_E_USAGE, "%s at byte %zu", problem, parser->problem_offset);
    return r->file ? pl_context(status, "%s", r->file) : placed(r, parser->mark, status);
  }
  return placed(r, parser->problem_mark,
                PL_FAIL(PL_E_USAGE, "%s%s%s", problem, parser->context ? " " : "",
                        parser->context ? parser->context : ""));
}

static pl_status refuse_extras(const reader *r) {
  const yaml_event_t *event = &r->event;
  const yaml_char_t *anchor = NULL, *tag = NULL;
  switch (event->type) {
    case YAML_ALIAS_EVENT: anchor = event->data.alias.anchor; break;
    case YAML_SCALAR_EVENT:
      anchor = event->data.scalar.anchor;
      tag = event->data.scalar.tag;
      break;
    case YAML_SEQUENCE_START_EVENT:
      anchor = event->data.sequence_start.anchor;
      tag = event->data.sequence_start.tag;
      break;
    case YAML_MAPPING_START_EVENT:
      anchor = event->data.mapping_start.anchor;
      tag = event->data.mapping_start.tag;
      break;
    default: break;
  }
  char shown[PL_SHOWN_TEXT];
  if (anchor) {
    return placed(r, event->start_mark,
                  PL_FAIL(PL_E_USAGE, "anchors and aliases are not accepted: '%s'",
                          pl_shown((const char *)anchor, shown)));
  }
  if (tag) {
    return placed(
        r, event->start_mark,
        PL_FAIL(PL_E_USAGE, "tags are not accepted: '%s'", pl_shown((const char *)tag, shown)));
  }
  if (event->type == YAML_SCALAR_EVENT &&
      strlen((const char *)event->data.scalar.value) != event->data.scalar.length) {
    return placed(r, event->start_mark, PL_FAIL(PL_E_USAGE, "a text holds a zero byte"));
  }
  return PL_OK;
}

static pl_status next_event(reader *r) {
  yaml_event_delete(&r->event);
  if (!yaml_parser_parse(&r->parser, &r->event)) return syntax_error(r);
  return refuse_extras(r);
}

static const char *scalar_text(const reader *r) { return (const char *)r->event.data.scalar.value; }

static bool scalar_quoted(const reader *r) {
  return r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
}

static pl_status read_list(reader *r, const pl_key *key) {
  PL_TRY(placed(r, r->event.start_mark, pl_value_begin(key, r->config)));
  for (int count = 0;; count++) {
    PL_TRY(next_event(r));
    if (r->event.type == YAML_SEQUENCE_END_EVENT) {
      return placed(r, r->event.start_mark, pl_value_end(key, count));
    }
    if (r->event.type != YAML_SCALAR_EVENT) {
      return placed(r, r->event.start_mark,
                    PL_FAIL(PL_E_USAGE, "%s wants single values in its list", key->name));
    }
    PL_TRY(placed(r, r->event.start_mark,
                  pl_value_append(key, r->config, count, scalar_text(r), scalar_quoted(r))));
  }
}

/* Reads the value of a key; `name_mark` is where its name stands. */
static pl_status read_key(reader *r, int index, yaml_mark_t name_mark) {
  const pl_key *key = &pl_keys[index];
  if (r->key_given[index]) {
    return placed(r, name_mark, PL_FAIL(PL_E_USAGE, "%s is given twice", key->name));
  }
  r->key_given[index] = true;
  if (r->event.type == YAML_SEQUENCE_START_EVENT) return read_list(r, key);
  if (r->event.type != YAML_SCALAR_EVENT) {
    return placed(r, r->event.start_mark,
                  PL_FAIL(PL_E_USAGE, "%s wants a value, not a group of keys", key->name));
  }
  PL_TRY(placed(r, r->event.start_mark,
                pl_value_set(key, r->config, scalar_text(r), scalar_quoted(r))));
  pl_preset_follow(key, r->config, r->key_given);
  return PL_OK;
}

/* A value given for a group: its keys, or a plain word for its head. */
static pl_status read_group_word(reader *r, yaml_mark_t name_mark) {
  int head = pl_group_head(r->name);
  if (head < 0 || r->event.type != YAML_SCALAR_EVENT) {
    return placed(r, r->event.start_mark,
                  PL_FAIL(PL_E_USAGE, "%s is a group of keys, not a %s", r->name,
                          r->event.type == YAML_SCALAR_EVENT ? "value" : "list"));
  }
  return read_key(r, head, name_mark);
}

static pl_status read_members(reader *r, int depth, bool known);

/* Reads what stands for r->name, from the event looked at to its own last event. Names that are
 * neither a key nor a group are followed down to their first leaf, as the whole name finds a better
 * suggestion. */
static pl_status read_named(reader *r, int depth, yaml_mark_t name_mark) {
  int key = pl_key_find(r->name), group = pl_group_find(r->name);
  if (key >= 0) return read_key(r, key, name_mark);
  if (group >= 0) {
    if (r->group_given[group]) {
      return placed(r, name_mark, PL_FAIL(PL_E_USAGE, "group %s is given twice", r->name));
    }
    r->group_given[group] = true;
    if (r->event.type != YAML_MAPPING_START_EVENT) return read_group_word(r, name_mark);
  }
  if (r->event.type != YAML_MAPPING_START_EVENT) {
    return placed(r, name_mark, pl_key_unknown(r->name));
  }
  return read_members(r, depth, group >= 0);
}

/* Reads the keys of a mapping whose start is looked at; their names go behind r->name. */
static pl_status read_members(reader *r, int depth, bool known) {
  yaml_mark_t start = r->event.start_mark;
  if (depth == DEPTH_MAX) {
    return placed(r, start, PL_FAIL(PL_E_USAGE, "groups nested over %d deep", DEPTH_MAX));
  }
  size_t length = strlen(r->name);
  for (bool empty = true;; empty = false) {
    r->name[length] = '\0';
    PL_TRY(next_event(r));
    if (r->event.type == YAML_MAPPING_END_EVENT) {
      return known || !empty ? PL_OK : placed(r, start, pl_key_unknown(r->name));
    }
    yaml_mark_t mark = r->event.start_mark;
    if (r->event.type != YAML_SCALAR_EVENT) {
      return placed(r, mark, PL_FAIL(PL_E_USAGE, "the name of a key must be a word"));
    }
    size_t room = sizeof r->name - length;
    int put = snprintf(r->name + length, room, "%s%s", depth > 0 ? "." : "", scalar_text(r));
    if (put < 0 || (size_t)put >= room) return placed(r, mark, pl_key_unknown(r->name));
    PL_TRY(next_event(r));
    PL_TRY(read_named(r, depth + 1, mark));
  }
}

static pl_status expect_end(reader *r, yaml_event_type_t type, const char *message) {
  PL_TRY(next_event(r));
  if (r->event.type == type) return PL_OK;
  return placed(r, r->event.start_mark, PL_FAIL(PL_E_USAGE, "%s", message));
}

/* The one document: for a file a mapping or nothing at all, for an override a value. */
static pl_status read_document(reader *r) {
  PL_TRY(next_event(r)); /* start of the stream */
  PL_TRY(next_event(r));
  if (r->event.type == YAML_STREAM_END_EVENT) {
    if (r->file) return PL_OK;
    return placed(r, r->event.start_mark, PL_FAIL(PL_E_USAGE, "there is no value behind '='"));
  }
  PL_TRY(next_event(r));
  yaml_mark_t mark = r->event.start_mark;
  bool empty = r->event.type == YAML_SCALAR_EVENT && !scalar_quoted(r) && *scalar_text(r) == '\0';
  if (!r->file) {
    PL_TRY(read_named(r, 1, mark));
  } else if (r->event.type == YAML_MAPPING_START_EVENT) {
    PL_TRY(read_members(r, 0, true));
  } else if (!empty) {
    return placed(r, mark, PL_FAIL(PL_E_USAGE, "a configuration is made of lines 'key: value'"));
  }
  PL_TRY(expect_end(r, YAML_DOCUMENT_END_EVENT, "the document goes on behind its end"));
  return expect_end(r, YAML_STREAM_END_EVENT, "only one document is accepted");
}

/* Reads into a copy, so that an error leaves `config` alone. */
static pl_status run_reader(reader *r, pl_config *config, const char *text, size_t size) {
  pl_config copy = *config;
  r->config = &copy;
  if (!yaml_parser_initialize(&r->parser)) return PL_FAIL(PL_E_INTERNAL, "out of memory for YAML");
  yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&r->parser, (const unsigned char *)text, size);
  pl_status status = read_document(r);
  yaml_event_delete(&r->event);
  yaml_parser_delete(&r->parser);
  if (status == PL_OK) *config = copy;
  return status;
}

pl_status pl_config_parse(pl_config *config, const char *name, const char *text, size_t size) {
  reader r = {.file = name};
  return run_reader(&r, config, text, size);
}

pl_status pl_config_read(pl_config *config, const char *path) {
  char *text = NULL;
  size_t size = 0;
  pl_status status = pl_read_file(path, FILE_MAX_BYTES, &text, &size);
  if (status == PL_E_DATA) return PL_FAIL(PL_E_USAGE, "%s", pl_last_reason()->message);
  if (status != PL_OK) return status;
  status = pl_config_parse(config, path, text, size);
  pl_free(text);
  return status;
}

pl_status pl_config_override(pl_config *config, const char *assignment) {
  const char *equals = strchr(assignment, '=');
  reader r = {.assignment = assignment};
  if (!equals || equals == assignment) {
    return PL_FAIL(PL_E_USAGE, "'%s' is no override; one looks like optim.lr=0.4", assignment);
  }
  size_t length = (size_t)(equals - assignment);
  if (length >= sizeof r.name) {
    return PL_FAIL(PL_E_USAGE, "override '%s': the name of the key is too long", assignment);
  }
  memcpy(r.name, assignment, length);
  return run_reader(&r, config, equals + 1, strlen(equals + 1));
}
