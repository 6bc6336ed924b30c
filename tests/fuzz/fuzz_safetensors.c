/* Any bytes as a safetensors file: refused as bad data, naming the file, or open, with tensors that
 * are found by their names, fill the file, and can be read. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/memory.h"
#include "runtime/store/safetensors.h"
#include "runtime/store/safetensors_header.h"
#include "tests/fuzz/fuzz.h"

static int memory = -1; /* a file that never meets a disk */
static char path[64];

static void broken(const char *promise) {
  fprintf(stderr, "%s\n%s\n", promise, pl_last_reason()->message);
  abort();
}

static void start(void) {
  memory = memfd_create("fuzz", MFD_CLOEXEC);
  if (memory < 0) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
}

static void check_tensor(const pl_safetensors *file, int index, size_t size) {
  const pl_safetensor *tensor = pl_safetensors_tensor(file, index);
  double count = 1;
  if (tensor->dims < 0 || tensor->dims > PL_SAFETENSORS_DIMS) broken("dimensions are few");
  for (int i = 0; i < tensor->dims; i++) count *= (double)tensor->dim[i];
  if (count != (double)tensor->count) broken("the count is the product of the dimensions");
  if ((uint64_t)tensor->count > size) broken("elements take at least a byte of the file");
  if (pl_safetensors_find(file, tensor->name) != index) broken("names are found");
  float *values = pl_alloc((size_t)tensor->count, sizeof *values);
  if (!values) broken("memory for a small tensor can be had");
  pl_status status = pl_safetensors_read(file, index, values);
  pl_free(values);
  bool readable = tensor->type <= PL_SAFETENSORS_BF16;
  if (status != (readable ? PL_OK : PL_E_DATA)) broken("what is f32, f16 or bf16 is read");
}

static void check_header(const uint8_t *data, size_t size) {
  pl_safetensors_header header;
  uint64_t length;
  memcpy(&length, data, sizeof length);
  int64_t left = (int64_t)(size - sizeof length - length), filled = 0;
  if (pl_safetensors_header_parse("fuzz", (const char *)data + sizeof length, length, left,
                                  &header) != PL_OK) {
    broken("the same header is read again");
  }
  for (int i = 0; i < header.count; i++) filled += header.entry[i].end - header.entry[i].begin;
  if (filled != left) broken("tensors fill the file");
  pl_safetensors_header_free(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  pl_safetensors *file = NULL;
  if (memory < 0) start();
  if (ftruncate(memory, 0) != 0 || pwrite(memory, data, size, 0) != (ssize_t)size) abort();
  pl_status status = pl_safetensors_open(path, &file);
  if (status != PL_OK) {
    if (status != PL_E_DATA) broken("a bad file is bad data");
    if (!strstr(pl_last_reason()->message, path)) broken("the file is named");
    if (file) broken("nothing is left of a bad file");
    return 0;
  }
  check_header(data, size);
  for (int i = 0; i < pl_safetensors_count(file); i++) check_tensor(file, i, size);
  pl_safetensors_close(&file);
  return 0;
}
