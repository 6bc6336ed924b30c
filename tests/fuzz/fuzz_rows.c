/* Any bytes as a table: refused as bad data, or read to rows of one length, which written again
 * with every field quoted are read as the same. The first byte chooses the separator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/pack/rows.h"
#include "tests/fuzz/fuzz.h"

static void broken(const char *what) {
  fprintf(stderr, "%s\n", what);
  abort();
}

static void write_row(const pl_rows *rows, FILE *out) {
  for (int k = 0; k < rows->fields; k++) {
    fputs(k ? ",\"" : "\"", out);
    for (const char *at = rows->field[k]; *at; at++) {
      if (*at == '"') fputc('"', out);
      fputc(*at, out);
    }
    fputc('"', out);
  }
  fputc('\n', out);
}

/* Reads a table and writes it again; false where it is refused. */
static bool rewrite(char *text, size_t size, char separator, char **again, size_t *again_size) {
  pl_rows rows = {0};
  bool more = true;
  int64_t line = 0;
  FILE *out = open_memstream(again, again_size);
  if (!out) broken("no memory");
  pl_status status = pl_rows_begin(&rows, "fuzz", text, size, separator);
  while (status == PL_OK && more) {
    status = pl_rows_next(&rows, &more);
    if (status != PL_OK || !more) break;
    if (rows.fields < 1 || rows.fields != rows.columns) broken("rows of several lengths");
    if (rows.line <= line) broken("lines do not ascend");
    line = rows.line;
    write_row(&rows, out);
  }
  if (status != PL_OK && status != PL_E_DATA) broken(pl_last_reason()->message);
  pl_rows_free(&rows);
  if (fclose(out) != 0) broken("no memory");
  return status == PL_OK;
}

/* A block of exactly this size and the zero that must lie behind it. */
static char *copy(const void *bytes, size_t size) {
  char *text = malloc(size + 1);
  if (!text) broken("no memory");
  if (size > 0) memcpy(text, bytes, size);
  text[size] = '\0';
  return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char separators[] = {'\t', ',', ';'};
  char *again[2] = {NULL, NULL};
  size_t again_size[2] = {0, 0};
  if (size == 0) return 0;
  char *text = copy(data + 1, size - 1);
  if (rewrite(text, size - 1, separators[data[0] % 3], &again[0], &again_size[0])) {
    char *quoted = copy(again[0], again_size[0]);
    if (!rewrite(quoted, again_size[0], ',', &again[1], &again_size[1])) {
      broken(pl_last_reason()->message);
    }
    free(quoted);
    if (again_size[0] != again_size[1] || memcmp(again[0], again[1], again_size[0]) != 0) {
      broken("read again, it is another table");
    }
  }
  free(text);
  free(again[0]);
  free(again[1]);
  return 0;
}
