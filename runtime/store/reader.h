/* Inside of runtime/store: strict reading of a YAML text whose shape is known.
 *
 * A mapping is read by a table of its keys, each with the function that reads the value. Every key
 * must be there, once, and no other; so what nests deeper, repeats or refers (aliases) than the
 * tables say is refused where it starts. Messages name the text, line and key. */
#ifndef PL_STORE_READER_H
#define PL_STORE_READER_H

#include <stdint.h>
#include <yaml.h>

#include "runtime/base/status.h"

/* The event at hand is the first of a value when a value's function is called, and must be the last
 * of it when that returns. */
typedef struct pl_reader {
  const char *name; /* of the text, for messages */
  const char *key;  /* whose value is being read */
  yaml_parser_t parser;
  yaml_event_t event;
} pl_reader;

typedef pl_status (*pl_reader_value)(pl_reader *reader, void *into);

typedef struct pl_reader_key {
  const char *name;
  pl_reader_value read;
  size_t offset; /* of what `read` fills, inside the struct of the mapping */
} pl_reader_key;

enum { PL_READER_KEYS = 32 }; /* at most, in one mapping */

/* Reads a text of one document, whose root is read by `root`. */
pl_status pl_reader_run(const char *name, const char *text, size_t size, pl_reader_value root,
                        void *into);

/* PL_E_DATA with text name, line and key in front. */
pl_status pl_reader_fail(const pl_reader *reader, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

pl_status pl_reader_mapping(pl_reader *reader, const pl_reader_key *keys, int count, void *into);

/* Calls `item` with `into` for each item. */
pl_status pl_reader_sequence(pl_reader *reader, pl_reader_value item, void *into);

/* A scalar without zero bytes; valid until the next event. */
pl_status pl_reader_text(pl_reader *reader, const char **text);

/* A whole number, 0 … INT64_MAX, into an int64_t. */
pl_status pl_reader_count(pl_reader *reader, void *into);

/* Makes room for one more element of `size` bytes behind the `count` that *array has: space doubles
 * at powers of two. The new element is zero. */
pl_status pl_reader_grow(void **array, int count, size_t size);

#endif
