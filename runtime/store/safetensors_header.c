#include "runtime/store/safetensors_header.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/grow.h"
#include "runtime/base/memory.h"
#include "runtime/store/safetensors_text.h"

enum { TYPE_TEXT = 16 };

typedef struct type_row {
  const char *name;
  pl_safetensors_type type;
  int64_t bytes;
} type_row;

static const type_row types[] = {
    {"F32", PL_SAFETENSORS_F32, 4},       {"F16", PL_SAFETENSORS_F16, 2},
    {"BF16", PL_SAFETENSORS_BF16, 2},     {"I64", PL_SAFETENSORS_I64, 8},
    {"F64", PL_SAFETENSORS_OTHER, 8},     {"U64", PL_SAFETENSORS_OTHER, 8},
    {"C64", PL_SAFETENSORS_OTHER, 8},     {"I32", PL_SAFETENSORS_OTHER, 4},
    {"U32", PL_SAFETENSORS_OTHER, 4},     {"I16", PL_SAFETENSORS_OTHER, 2},
    {"U16", PL_SAFETENSORS_OTHER, 2},     {"I8", PL_SAFETENSORS_OTHER, 1},
    {"U8", PL_SAFETENSORS_OTHER, 1},      {"BOOL", PL_SAFETENSORS_OTHER, 1},
    {"F8_E4M3", PL_SAFETENSORS_OTHER, 1}, {"F8_E5M2", PL_SAFETENSORS_OTHER, 1},
    {"F8_E8M0", PL_SAFETENSORS_OTHER, 1},
};
enum { TYPES = sizeof types / sizeof *types };

const char *pl_safetensors_type_name(pl_safetensors_type type) {
  for (int t = 0; t < TYPES; t++) {
    if (types[t].type == type && type != PL_SAFETENSORS_OTHER) return types[t].name;
  }
  return "unknown";
}

static pl_status read_type(pl_header_text *text, const type_row **out) {
  char name[TYPE_TEXT];
  PL_TRY(pl_header_string(text, name, sizeof name));
  for (int t = 0; t < TYPES; t++) {
    if (strcmp(types[t].name, name) == 0) {
      *out = &types[t];
      return PL_OK;
    }
  }
  return pl_header_fail(text, "there is no type \"%s\"", name);
}

/* [number, …] of at most `most`. */
static pl_status read_numbers(pl_header_text *text, int most, int64_t *number, int *count) {
  *count = 0;
  PL_TRY(pl_header_expect(text, '['));
  if (pl_header_take(text, ']')) return PL_OK;
  do {
    if (*count == most) return pl_header_fail(text, "a list of more than %d numbers", most);
    PL_TRY(pl_header_number(text, &number[(*count)++]));
  } while (pl_header_take(text, ','));
  return pl_header_expect(text, ']');
}

/* Number and bytes of the elements must fit the shape and each other. */
static pl_status check_entry(const pl_header_text *text, const type_row *type, int64_t data_bytes,
                             pl_safetensors_entry *entry) {
  pl_safetensor *tensor = &entry->tensor;
  int64_t bytes;
  tensor->type = type->type;
  tensor->count = 1;
  for (int i = 0; i < tensor->dims; i++) {
    if (__builtin_mul_overflow(tensor->count, tensor->dim[i], &tensor->count)) {
      return pl_header_fail(text, "%s has too many elements", tensor->name);
    }
  }
  if (__builtin_mul_overflow(tensor->count, type->bytes, &bytes)) {
    return pl_header_fail(text, "%s has too many elements", tensor->name);
  }
  if (entry->begin > entry->end || entry->end > data_bytes) {
    return pl_header_fail(text, "%s lies at %lld to %lld of %lld bytes", tensor->name,
                          (long long)entry->begin, (long long)entry->end, (long long)data_bytes);
  }
  if (entry->end - entry->begin != bytes) {
    return pl_header_fail(text, "%s takes %lld bytes by its shape and type, and has %lld",
                          tensor->name, (long long)bytes, (long long)(entry->end - entry->begin));
  }
  return PL_OK;
}

/* {"dtype": …, "shape": […], "data_offsets": [begin, end]}, in any order. */
static pl_status read_entry(pl_header_text *text, int64_t data_bytes, pl_safetensors_entry *entry) {
  enum { OFFSETS = 2, KEY_TEXT = 16 };
  const type_row *type = NULL;
  int64_t offset[OFFSETS];
  int offsets = -1, dims = -1; /* -1: not seen yet */
  PL_TRY(pl_header_expect(text, '{'));
  do {
    char key[KEY_TEXT];
    PL_TRY(pl_header_string(text, key, sizeof key));
    PL_TRY(pl_header_expect(text, ':'));
    if (strcmp(key, "dtype") == 0 && !type) {
      PL_TRY(read_type(text, &type));
    } else if (strcmp(key, "shape") == 0 && dims < 0) {
      PL_TRY(read_numbers(text, PL_SAFETENSORS_DIMS, entry->tensor.dim, &dims));
    } else if (strcmp(key, "data_offsets") == 0 && offsets < 0) {
      PL_TRY(read_numbers(text, OFFSETS, offset, &offsets));
    } else {
      return pl_header_fail(text, "%s has the key \"%s\", or has it twice", entry->tensor.name,
                            key);
    }
  } while (pl_header_take(text, ','));
  PL_TRY(pl_header_expect(text, '}'));
  if (!type || dims < 0 || offsets != OFFSETS) {
    return pl_header_fail(text, "%s lacks dtype, shape or data_offsets", entry->tensor.name);
  }
  entry->tensor.dims = dims;
  entry->begin = offset[0];
  entry->end = offset[1];
  return check_entry(text, type, data_bytes, entry);
}

/* Texts by name, which say nothing about the tensors. */
static pl_status skip_metadata(pl_header_text *text) {
  PL_TRY(pl_header_expect(text, '{'));
  if (pl_header_take(text, '}')) return PL_OK;
  do {
    PL_TRY(pl_header_string(text, NULL, 0));
    PL_TRY(pl_header_expect(text, ':'));
    PL_TRY(pl_header_string(text, NULL, 0));
  } while (pl_header_take(text, ','));
  return pl_header_expect(text, '}');
}

static pl_status read_all(pl_header_text *text, int64_t data_bytes, pl_safetensors_header *out) {
  bool metadata = false;
  PL_TRY(pl_header_expect(text, '{'));
  if (pl_header_take(text, '}')) return PL_OK;
  do {
    char name[PL_SAFETENSORS_NAME];
    PL_TRY(pl_header_string(text, name, sizeof name));
    PL_TRY(pl_header_expect(text, ':'));
    if (strcmp(name, "__metadata__") == 0) {
      if (metadata) return pl_header_fail(text, "__metadata__ is there twice");
      metadata = true;
      PL_TRY(skip_metadata(text));
      continue;
    }
    PL_TRY(pl_grow((void **)&out->entry, out->count, sizeof *out->entry));
    pl_safetensors_entry *entry = &out->entry[out->count++];
    memcpy(entry->tensor.name, name, sizeof name);
    PL_TRY(read_entry(text, data_bytes, entry));
  } while (pl_header_take(text, ','));
  return pl_header_expect(text, '}');
}

static int compare_names(const void *a, const void *b) {
  const pl_safetensors_entry *const *x = a, *const *y = b;
  return strcmp((*x)->tensor.name, (*y)->tensor.name);
}

/* Tensors without elements lie at the border of others. */
static int compare_places(const void *a, const void *b) {
  const pl_safetensors_entry *x = *(const pl_safetensors_entry *const *)a;
  const pl_safetensors_entry *y = *(const pl_safetensors_entry *const *)b;
  if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
  return x->end < y->end ? -1 : x->end > y->end;
}

/* Every byte belongs to one tensor: then none overlap, and nothing is hidden between them. */
static pl_status check_places(const char *path, const pl_safetensors_header *header,
                              const pl_safetensors_entry **by_place, int64_t data_bytes) {
  int64_t end = 0;
  qsort(by_place, (size_t)header->count, sizeof *by_place, compare_places);
  for (int i = 0; i < header->count; i++) {
    const pl_safetensors_entry *entry = by_place[i];
    if (entry->begin != end) {
      return PL_FAIL(
          PL_E_DATA, "%s: %s begins at byte %lld of the numbers, %s at %lld", path,
          entry->tensor.name, (long long)entry->begin,
          entry->begin < end ? "inside of another tensor that ends" : "behind a hole that begins",
          (long long)end);
    }
    end = entry->end;
  }
  if (end == data_bytes) return PL_OK;
  return PL_FAIL(PL_E_DATA, "%s: the tensors end at byte %lld of the numbers, which go on to %lld",
                 path, (long long)end, (long long)data_bytes);
}

static pl_status check_names(const char *path, const pl_safetensors_header *header) {
  for (int i = 1; i < header->count; i++) {
    if (compare_names(&header->by_name[i - 1], &header->by_name[i]) == 0) {
      return PL_FAIL(PL_E_DATA, "%s: two tensors have the name %s", path,
                     header->by_name[i]->tensor.name);
    }
  }
  return PL_OK;
}

pl_status pl_safetensors_header_parse(const char *path, const char *text, size_t size,
                                      int64_t data_bytes, pl_safetensors_header *out) {
  pl_header_text in = {.path = path, .start = text, .at = text, .end = text + size};
  *out = (pl_safetensors_header){0};
  PL_TRY(read_all(&in, data_bytes, out));
  if (!pl_header_at_end(&in)) return pl_header_fail(&in, "nothing is expected after the last '}'");
  out->by_name = pl_alloc((size_t)out->count, sizeof *out->by_name);
  if (!out->by_name) return PL_E_INTERNAL;
  for (int i = 0; i < out->count; i++) out->by_name[i] = &out->entry[i];
  PL_TRY(check_places(path, out, out->by_name, data_bytes));
  qsort(out->by_name, (size_t)out->count, sizeof *out->by_name, compare_names);
  return check_names(path, out);
}

void pl_safetensors_header_free(pl_safetensors_header *header) {
  pl_free(header->by_name);
  pl_free(header->entry);
  *header = (pl_safetensors_header){0};
}
