#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/utf8.h"
#include "runtime/data/manifest.h"

pl_status pl_dataset_check_class_name(const char *name) {
  size_t length = strlen(name);
  bool good = length > 0 && pl_utf8_valid(name, length) == length;
  /* control characters, which YAML does not hold: also U+0080 to U+009F, coded as C2 80 to C2 9F */
  for (const unsigned char *at = (const unsigned char *)name; good && *at; at++) {
    good = *at >= 0x20 && *at != 0x7f && !(at[0] == 0xc2 && at[1] < 0xa0);
  }
  if (good) return PL_OK;
  return PL_FAIL(PL_E_DATA, "class name \"%s\" is empty, or not UTF-8, or has control characters",
                 name);
}

/* Writes a double-quoted YAML word. */
static void put_quoted(FILE *out, const char *word) {
  fputc('"', out);
  for (; *word; word++) {
    if (*word == '"' || *word == '\\') fputc('\\', out);
    fputc(*word, out);
  }
  fputc('"', out);
}

static pl_status put_classes(FILE *out, int classes, const char *const *names) {
  if (classes == 0) {
    fputs("classes: []\n", out);
    return PL_OK;
  }
  fputs("classes:\n", out);
  for (int i = 0; i < classes; i++) {
    PL_TRY(pl_dataset_check_class_name(names[i]));
    fputs("  - ", out);
    put_quoted(out, names[i]);
    fputc('\n', out);
  }
  return PL_OK;
}

static pl_status put_manifest(FILE *out, const char *kind, const pl_shard_options *options,
                              int shards, const pl_shard_record *records, int classes,
                              const char *const *class_names) {
  int64_t samples = 0;
  int64_t captions = 0;
  for (int i = 0; i < shards; i++) {
    samples += records[i].samples;
    captions += records[i].captions;
  }
  fprintf(out, "format: plenum-dataset\nversion: %d\nkind: %s\n", PL_DATASET_VERSION, kind);
  fprintf(out, "samples: %lld\ncaptions: %lld\n", (long long)samples, (long long)captions);
  fprintf(out, "storage: %s\nheight: %d\nwidth: %d\n",
          options->storage == PL_IMAGE_PIXELS ? "pixels" : "encoded", options->height,
          options->width);
  PL_TRY(put_classes(out, classes, class_names));
  fputs("shards:\n", out);
  for (int i = 0; i < shards; i++) {
    const pl_shard_record *r = &records[i];
    fprintf(out, "  - {name: %s, samples: %lld, captions: %lld, bytes: %lld, hash: \"%s\"}\n",
            r->name, (long long)r->samples, (long long)r->captions, (long long)r->bytes, r->hash);
  }
  return PL_OK;
}

pl_status pl_dataset_manifest_write(const char *folder, const char *kind,
                                    const pl_shard_options *options, int shards,
                                    const pl_shard_record *records, int classes,
                                    const char *const *class_names) {
  char path[PL_PATH_MAX];
  char *text = NULL;
  size_t size = 0;
  PL_TRY(pl_path_join(folder, PL_DATASET_MANIFEST, path));
  FILE *out = open_memstream(&text, &size);
  if (!out) return PL_FAIL(PL_E_INTERNAL, "out of memory for %s", path);
  pl_status status = put_manifest(out, kind, options, shards, records, classes, class_names);
  if (fclose(out) != 0 && status == PL_OK) {
    status = PL_FAIL(PL_E_INTERNAL, "out of memory for %s", path);
  }
  if (status == PL_OK) status = pl_write_file_durably(path, text, size);
  free(text);
  return status;
}
