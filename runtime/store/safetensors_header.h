/* Inside of runtime/store: the JSON header of a safetensors file. */
#ifndef PL_STORE_SAFETENSORS_HEADER_H
#define PL_STORE_SAFETENSORS_HEADER_H

#include <stddef.h>

#include "runtime/store/safetensors.h"

/* As other readers have it: more is no header. */
enum { PL_SAFETENSORS_HEADER_MAX = 100000000 };

typedef struct pl_safetensors_entry {
  pl_safetensor tensor;
  int64_t begin, end; /* bytes, from the end of the header */
} pl_safetensors_entry;

typedef struct pl_safetensors_header {
  int count;
  pl_safetensors_entry *entry;          /* (count), as they come */
  const pl_safetensors_entry **by_name; /* (count), sorted */
} pl_safetensors_header;

/* Name of a type that is written, as the header has it. */
const char *pl_safetensors_type_name(pl_safetensors_type type);

/* Reads a header of `size` bytes in front of `data_bytes` bytes of numbers; `path` is for messages.
 * `out` is to be freed, also after an error, which is PL_E_DATA. */
pl_status pl_safetensors_header_parse(const char *path, const char *text, size_t size,
                                      int64_t data_bytes, pl_safetensors_header *out);
void pl_safetensors_header_free(pl_safetensors_header *header);

#endif
