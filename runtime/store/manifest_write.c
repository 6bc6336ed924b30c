/* The text of a manifest: plain YAML with every string quoted, and the configuration as a block of
 * text that reads as it was. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/utf8.h"
#include "runtime/config/text.h"
#include "runtime/store/manifest.h"

enum { REPLACEMENT = 0xFFFD };

/* The character that *text begins with, which is left behind; a byte that belongs to none becomes
 * the replacement character. */
static uint32_t take_character(const char **text, const char *end) {
  uint32_t code = REPLACEMENT;
  int length = pl_utf8_decode(*text, (size_t)(end - *text), &code);
  *text += length > 0 ? length : 1;
  return code;
}

static void put_quoted(FILE *out, const char *text) {
  const char *end = text + strlen(text);
  putc('"', out);
  while (text < end) {
    uint32_t code = take_character(&text, end);
    if (code == '"' || code == '\\') {
      fprintf(out, "\\%c", (int)code);
    } else if (code >= 0x20 && code < 0x7F) {
      putc((int)code, out);
    } else if (code < 0x100) {
      fprintf(out, "\\x%02X", (unsigned)code);
    } else if (code < 0x10000) {
      fprintf(out, "\\u%04X", (unsigned)code);
    } else {
      fprintf(out, "\\U%08X", (unsigned)code);
    }
  }
  putc('"', out);
}

/* Whether a block of text keeps this code point as it is: printable for YAML 1.1 and none of its
 * line breaks besides the line feed. */
static bool keeps(uint32_t code) {
  if (code < 0x7F) return code >= 0x20 || code == '\t' || code == '\n';
  return code >= 0xA0 && code != 0x2028 && code != 0x2029 && code != 0xFEFF &&
         (code & 0xFFFE) != 0xFFFE && code != REPLACEMENT;
}

static bool fits_block(const char *text) {
  const char *end = text + strlen(text);
  while (text < end) {
    if (!keeps(take_character(&text, end))) return false;
  }
  return true;
}

/* The indentation is stated, so that lines may begin with spaces; what ends in a line feed keeps
 * all of them (+), what doesn't gets none (-). */
static void put_block(FILE *out, const char *text) {
  size_t length = strlen(text);
  if (length == 0 || !fits_block(text)) {
    put_quoted(out, text);
    putc('\n', out);
    return;
  }
  fputs(text[length - 1] == '\n' ? "|2+\n" : "|2-\n", out);
  while (*text != '\0') {
    size_t line = strcspn(text, "\n");
    if (line > 0) fprintf(out, "  %.*s", (int)line, text);
    putc('\n', out);
    text += line + (text[line] == '\n');
  }
}

static void put_parts(FILE *out, const pl_checkpoint_manifest *manifest) {
  fputs("parts:\n", out);
  for (int p = 0; p < manifest->parts; p++) {
    char name[PL_PART_NAME];
    pl_manifest_part_name(p, name);
    fprintf(out, "- {file: \"%s\", bytes: %lld, hash: \"%s\"}\n", name,
            (long long)manifest->part[p].bytes, manifest->part[p].hash);
  }
}

static void put_tensors(FILE *out, const pl_space *space) {
  fputs(pl_space_params(space) == 0 ? "tensors: []\n" : "tensors:\n", out);
  for (int p = 0; p < pl_space_params(space); p++) {
    const pl_param *param = pl_space_param(space, p);
    fputs("- {name: ", out);
    put_quoted(out, param->name);
    fprintf(out, ", kind: %s, shape: [", pl_manifest_kind_name(param->kind));
    for (int i = 0; i < param->dims; i++) {
      fprintf(out, "%s%lld", i == 0 ? "" : ", ", (long long)param->dim[i]);
    }
    fputs("]}\n", out);
  }
  fputs(pl_space_buffers(space) == 0 ? "buffers: []\n" : "buffers:\n", out);
  for (int b = 0; b < pl_space_buffers(space); b++) {
    const pl_buffer *buffer = pl_space_buffer(space, b);
    fputs("- {name: ", out);
    put_quoted(out, buffer->name);
    fprintf(out, ", count: %lld}\n", (long long)buffer->count);
  }
}

static void put_vectors(FILE *out, const char *key, const pl_checkpoint_vectors *vectors) {
  fprintf(out, "%s: [", key);
  for (int v = 0; v < vectors->count; v++) {
    if (v > 0) fputs(", ", out);
    put_quoted(out, vectors->name[v]);
  }
  fputs("]\n", out);
}

static void put_ledger(FILE *out, const pl_checkpoint_manifest *manifest) {
  fputs(manifest->shards == 0 ? "ledger: []\n" : "ledger:\n", out);
  for (int s = 0; s < manifest->shards; s++) {
    const pl_checkpoint_shard *shard = &manifest->shard[s];
    fputs("- {shard: ", out);
    put_quoted(out, shard->name);
    fprintf(out, ", seen: %lld, repeated: %lld, skipped: %lld}\n", (long long)shard->seen,
            (long long)shard->repeated, (long long)shard->skipped);
  }
}

static void put_text(FILE *out, const char *key, const char *text) {
  fprintf(out, "%s: ", key);
  put_quoted(out, text);
  putc('\n', out);
}

static void put_head(FILE *out, const pl_checkpoint_manifest *manifest) {
  char value[PL_REAL_TEXT] = "none";
  if (isfinite(manifest->value)) pl_format_real(manifest->value, value);
  fprintf(out, "format: plenum-checkpoint\nversion: %d\n", PL_CHECKPOINT_VERSION);
  fprintf(out, "step: %lld\nposition: %lld\npassed_over: %lld\n", (long long)manifest->step,
          (long long)manifest->position, (long long)manifest->passed_over);
  put_text(out, "build", manifest->build);
  put_text(out, "dataset", manifest->dataset);
  put_text(out, "state", manifest->state_hash);
  put_text(out, "metric", manifest->metric);
  fprintf(out, "value: %s\nblock: %d\n", value, PL_BLOCK);
}

pl_status pl_manifest_write(const pl_space *space, const pl_checkpoint_vectors *vectors,
                            const pl_checkpoint_vectors *replicated,
                            const pl_checkpoint_manifest *manifest, char **text) {
  size_t size;
  *text = NULL;
  FILE *out = open_memstream(text, &size);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for the manifest");
  put_head(out, manifest);
  put_vectors(out, "vectors", vectors);
  put_vectors(out, "replicated", replicated);
  put_parts(out, manifest);
  put_tensors(out, space);
  put_ledger(out, manifest);
  fputs("config: ", out);
  put_block(out, manifest->config_yaml);
  bool failed = ferror(out) != 0;
  if (fclose(out) != 0 || failed) {
    free(*text);
    *text = NULL;
    return PL_FAIL(PL_E_INTERNAL, "out of memory for the manifest");
  }
  return PL_OK;
}
