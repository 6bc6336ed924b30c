/* Inside of runtime/store: the words of JSON that the header of a safetensors file may hold, read
 * strictly. */
#ifndef PL_STORE_SAFETENSORS_TEXT_H
#define PL_STORE_SAFETENSORS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

typedef struct pl_header_text {
  const char *path; /* of the file, for messages */
  const char *start, *at, *end;
} pl_header_text;

/* PL_E_DATA with the file and the place in the header in front. */
pl_status pl_header_fail(const pl_header_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Whether the next character that is no blank is `wanted`; steps past it then. */
bool pl_header_take(pl_header_text *text, char wanted);
/* The same where nothing else may stand. */
pl_status pl_header_expect(pl_header_text *text, char wanted);
/* Whether nothing but blanks is left. */
bool pl_header_at_end(pl_header_text *text);

/* A string in quotation marks, with its escapes resolved, into `room` bytes of UTF-8, control
 * characters refused. NULL for a string that is only checked. */
pl_status pl_header_string(pl_header_text *text, char *out, size_t room);

/* A whole number, 0 … INT64_MAX, in plain digits. */
pl_status pl_header_number(pl_header_text *text, int64_t *out);

#endif
