#include "runtime/store/safetensors.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "runtime/store/safetensors_header.h"
#include "runtime/tensor/dtype.h"

_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN,
               "numbers are read and written as they are in memory");

struct pl_safetensors {
  char *path;
  int fd;
  int64_t data; /* where the numbers begin in the file */
  pl_safetensors_header header;
};

static pl_status read_header(pl_safetensors *file) {
  struct stat info;
  uint64_t size = 0;
  if (fstat(file->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return PL_FAIL(PL_E_DATA, "%s is not a regular file", file->path);
  }
  if (info.st_size < (off_t)sizeof size) {
    return PL_FAIL(PL_E_DATA, "%s has %lld bytes: no safetensors file is that short", file->path,
                   (long long)info.st_size);
  }
  PL_TRY(pl_read_at(file->fd, file->path, &size, sizeof size, 0));
  if (size > PL_SAFETENSORS_HEADER_MAX || size > (uint64_t)info.st_size - sizeof size) {
    return PL_FAIL(PL_E_DATA,
                   "%s begins with a header of %llu bytes, of %lld in the file: it is no "
                   "safetensors file, or was cut",
                   file->path, (unsigned long long)size, (long long)info.st_size);
  }
  char *text = pl_alloc((size_t)size, 1);
  if (!text) return PL_E_INTERNAL;
  file->data = (int64_t)(sizeof size + size);
  pl_status status = pl_read_at(file->fd, file->path, text, (size_t)size, sizeof size);
  if (status == PL_OK) {
    status = pl_safetensors_header_parse(file->path, text, (size_t)size,
                                         (int64_t)info.st_size - file->data, &file->header);
  }
  pl_free(text);
  return status;
}

pl_status pl_safetensors_open(const char *path, pl_safetensors **out) {
  pl_status status = PL_OK;
  *out = NULL;
  pl_safetensors *file = pl_alloc(1, sizeof *file);
  if (!file) return PL_E_INTERNAL;
  file->fd = -1;
  file->path = pl_strdup(path);
  if (!file->path) {
    status = PL_E_INTERNAL;
    goto done;
  }
  file->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (file->fd < 0) {
    status = PL_FAIL(errno == ENOENT || errno == ENOTDIR ? PL_E_DATA : PL_E_IO,
                     "cannot open %s: %s", path, strerror(errno));
    goto done;
  }
  PL_TRY_OR(done, status, read_header(file));
  *out = file;
  file = NULL;
done:
  pl_safetensors_close(&file);
  return status;
}

void pl_safetensors_close(pl_safetensors **file) {
  if (!*file) return;
  pl_safetensors_header_free(&(*file)->header);
  if ((*file)->fd >= 0) close((*file)->fd);
  pl_free((*file)->path);
  pl_free(*file);
  *file = NULL;
}

int pl_safetensors_count(const pl_safetensors *file) { return file->header.count; }

const pl_safetensor *pl_safetensors_tensor(const pl_safetensors *file, int index) {
  PL_INVARIANT(index >= 0 && index < file->header.count);
  return &file->header.entry[index].tensor;
}

static int compare_to_name(const void *name, const void *entry) {
  return strcmp(name, (*(const pl_safetensors_entry *const *)entry)->tensor.name);
}

int pl_safetensors_find(const pl_safetensors *file, const char *name) {
  const pl_safetensors_header *header = &file->header;
  const pl_safetensors_entry **found = bsearch(name, header->by_name, (size_t)header->count,
                                               sizeof *header->by_name, compare_to_name);
  return found ? (int)(*found - header->entry) : -1;
}

/* ---- numbers ---- */

/* IEEE 754 binary16, of which every value is a float. */
static float f16_to_f32(uint16_t half) {
  enum { FRACTION = 10, F32_FRACTION = 23, BIAS = 15, F32_BIAS = 127, EXPONENT_MAX = 31 };
  uint32_t sign = (uint32_t)(half & 0x8000U) << 16, exponent = half >> FRACTION & 0x1FU;
  uint32_t fraction = half & 0x3FFU;
  float value;
  if (exponent == 0) { /* zero and subnormal: fraction * 2^-24, exact in f32 */
    value = (float)fraction * 0x1p-24F;
    return sign ? -value : value;
  }
  uint32_t widened = exponent == EXPONENT_MAX ? 0xFFU : exponent - BIAS + F32_BIAS;
  uint32_t bits = sign | widened << F32_FRACTION | fraction << (F32_FRACTION - FRACTION);
  memcpy(&value, &bits, sizeof value);
  return value;
}

static pl_status read_halves(const pl_safetensors *file, const pl_safetensors_entry *entry,
                             float *values) {
  enum { CHUNK = 4096 };
  uint16_t halves[CHUNK];
  const pl_safetensor *tensor = &entry->tensor;
  for (int64_t done = 0; done < tensor->count;) {
    int64_t left = tensor->count - done, n = left < CHUNK ? left : CHUNK;
    off_t offset = file->data + entry->begin + done * (int64_t)sizeof *halves;
    PL_TRY(pl_read_at(file->fd, file->path, halves, (size_t)n * sizeof *halves, offset));
    for (int64_t i = 0; i < n; i++) {
      values[done + i] =
          tensor->type == PL_SAFETENSORS_F16 ? f16_to_f32(halves[i]) : pl_bf16_to_f32(halves[i]);
    }
    done += n;
  }
  return PL_OK;
}

pl_status pl_safetensors_read(const pl_safetensors *file, int index, float *values) {
  const pl_safetensors_entry *entry = &file->header.entry[index];
  switch (entry->tensor.type) {
    case PL_SAFETENSORS_F32:
      return pl_read_at(file->fd, file->path, values, (size_t)entry->tensor.count * sizeof *values,
                        file->data + entry->begin);
    case PL_SAFETENSORS_F16:
    case PL_SAFETENSORS_BF16: return read_halves(file, entry, values);
    case PL_SAFETENSORS_I64:
    case PL_SAFETENSORS_OTHER: break;
  }
  return PL_FAIL(PL_E_DATA, "%s: %s is of a type that is not read: f32, f16 and bf16 are",
                 file->path, entry->tensor.name);
}
