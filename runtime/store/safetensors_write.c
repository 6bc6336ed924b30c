/* Writing safetensors files. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/store/safetensors_header.h"

static int64_t bytes_of(const pl_safetensor *tensor) {
  return tensor->count *
         (tensor->type == PL_SAFETENSORS_I64 ? (int64_t)sizeof(int64_t) : (int64_t)sizeof(float));
}

static void put_text(FILE *out, const char *text) {
  fputc('"', out);
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20) {
      fprintf(out, "\\u%04x", c);
    } else {
      if (c == '"' || c == '\\') fputc('\\', out);
      fputc(c, out);
    }
  }
  fputc('"', out);
}

static void put_metadata(FILE *out, const char *const *metadata) {
  fputs("\"__metadata__\":{", out);
  for (int i = 0; metadata[i]; i += 2) {
    if (i > 0) fputc(',', out);
    put_text(out, metadata[i]);
    fputc(':', out);
    put_text(out, metadata[i + 1]);
  }
  fputc('}', out);
}

static void put_tensor(FILE *out, const pl_safetensor *tensor, int64_t begin) {
  int64_t end = begin + bytes_of(tensor);
  put_text(out, tensor->name);
  fprintf(out, ":{\"dtype\":\"%s\",\"shape\":[", pl_safetensors_type_name(tensor->type));
  for (int i = 0; i < tensor->dims; i++) {
    fprintf(out, "%s%lld", i == 0 ? "" : ",", (long long)tensor->dim[i]);
  }
  fprintf(out, "],\"data_offsets\":[%lld,%lld]}", (long long)begin, (long long)end);
}

/* The header, padded so that the numbers begin at a multiple of 8; of free(), also after an error.
 */
static pl_status write_header(const pl_safetensor *tensors, int count, const char *const *metadata,
                              char **text, size_t *size, int64_t *data_bytes) {
  enum { MULTIPLE = 8 };
  const char *separator = "";
  FILE *out = open_memstream(text, size);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the header of a file");
  *data_bytes = 0;
  fputc('{', out);
  if (metadata) {
    put_metadata(out, metadata);
    separator = ",";
  }
  for (int i = 0; i < count; i++) {
    fputs(separator, out);
    put_tensor(out, &tensors[i], *data_bytes);
    *data_bytes += bytes_of(&tensors[i]);
    separator = ",";
  }
  fputc('}', out);
  fflush(out); /* brings *size up to date */
  fprintf(out, "%*s", (int)((MULTIPLE - *size % MULTIPLE) % MULTIPLE), "");
  return fclose(out) == 0 ? PL_OK : PL_FAIL(PL_E_INTERNAL, "out of memory for a file's header");
}

/* What the reader would refuse (names twice, shapes that are not the count's) is not written. */
static pl_status check_header(const char *path, const char *text, size_t size, int64_t data_bytes) {
  pl_safetensors_header header;
  pl_status status = pl_safetensors_header_parse(path, text, size, data_bytes, &header);
  pl_safetensors_header_free(&header);
  if (status != PL_E_DATA) return status;
  char reason[PL_REASON_MAX];
  snprintf(reason, sizeof reason, "%s", pl_last_reason()->message);
  return PL_FAIL(PL_E_INTERNAL, "no file can hold these tensors: %s", reason);
}

static pl_status write_all(const char *path, const pl_safetensor *tensors, int count,
                           const char *header, size_t header_bytes) {
  uint64_t length = header_bytes;
  FILE *out = fopen(path, "wbe");
  if (!out) return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  bool good = fwrite(&length, sizeof length, 1, out) == 1 &&
              fwrite(header, 1, header_bytes, out) == header_bytes;
  for (int i = 0; i < count && good; i++) {
    size_t bytes = (size_t)bytes_of(&tensors[i]);
    good = bytes == 0 || fwrite(tensors[i].values, 1, bytes, out) == bytes;
  }
  good = good && fflush(out) == 0 && fsync(fileno(out)) == 0;
  int reason = errno;
  if (fclose(out) != 0 && good) {
    good = false;
    reason = errno;
  }
  return good ? PL_OK : PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(reason));
}

pl_status pl_safetensors_write(const char *path, const pl_safetensor *tensors, int count,
                               const char *const *metadata) {
  char temporary[PL_PATH_MAX + 32];
  char *header = NULL;
  size_t header_bytes = 0;
  int64_t data_bytes;
  pl_status status = write_header(tensors, count, metadata, &header, &header_bytes, &data_bytes);
  if (status == PL_OK) status = check_header(path, header, header_bytes, data_bytes);
  if (status == PL_OK) {
    snprintf(temporary, sizeof temporary, "%s.tmp%ld", path, (long)getpid());
    status = write_all(temporary, tensors, count, header, header_bytes);
    if (status == PL_OK) status = pl_rename_durably(temporary, path);
    if (status != PL_OK) unlink(temporary);
  }
  free(header);
  return status;
}
