#include "runtime/data/manifest.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/grow.h"
#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/base/yaml.h"
#include "runtime/data/decode.h"

/* Beyond any real dataset, and small enough that sums of them cannot overflow. */
static const int64_t SAMPLES_MAX = (int64_t)1 << 40;
static const int64_t BYTES_MAX = (int64_t)1 << 42;
enum { SHARDS_MAX = 1 << 20, CLASSES_MAX = 1 << 20, MANIFEST_BYTES_MAX = 256 << 20 };

void pl_shard_name(int index, char name[32]) { snprintf(name, 32, "part-%05d.h5", index); }

/* What is read, with what is needed only to check it. */
typedef struct document {
  pl_dataset_manifest manifest;
  bool text; /* of the kind that has captions */
} document;

static void free_lists(pl_dataset_manifest *m) {
  for (int i = 0; i < m->info.classes; i++) pl_free(m->class_name[i]);
  pl_free(m->class_name);
  pl_free(m->shards);
}

void pl_dataset_manifest_destroy(pl_dataset_manifest **manifest) {
  if (!*manifest) return;
  free_lists(*manifest);
  pl_free(*manifest);
  *manifest = NULL;
}

/* ---- numbers and words ---- */

static pl_status read_samples(pl_yaml *yaml, void *into) {
  return pl_yaml_within(yaml, 1, SAMPLES_MAX, into);
}

static pl_status read_captions(pl_yaml *yaml, void *into) {
  return pl_yaml_within(yaml, 0, SAMPLES_MAX, into);
}

static pl_status read_bytes(pl_yaml *yaml, void *into) {
  return pl_yaml_within(yaml, 1, BYTES_MAX, into);
}

static pl_status read_side(pl_yaml *yaml, void *into) {
  int64_t side = 0;
  PL_TRY(pl_yaml_within(yaml, 0, PL_IMAGE_SIDE_MAX, &side));
  *(int *)into = (int)side;
  return PL_OK;
}

static pl_status read_format(pl_yaml *yaml, void *into) {
  (void)into;
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  if (strcmp(text, "plenum-dataset") == 0) return PL_OK;
  return pl_yaml_fail(yaml, "\"%.40s\" is not plenum-dataset", text);
}

/* Stands at the beginning, so another format is recognised before its keys. */
static pl_status read_version(pl_yaml *yaml, void *into) {
  (void)into;
  int64_t version = 0;
  PL_TRY(pl_yaml_within(yaml, 1, INT32_MAX, &version));
  if (version == PL_DATASET_VERSION) return PL_OK;
  return pl_yaml_fail(yaml, "format version %lld; this program reads version %d",
                      (long long)version, PL_DATASET_VERSION);
}

/* Which of two words it is: false for the first. */
static pl_status read_either(pl_yaml *yaml, const char *first, const char *second, bool *which) {
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  *which = strcmp(text, second) == 0;
  if (*which || strcmp(text, first) == 0) return PL_OK;
  return pl_yaml_fail(yaml, "\"%.40s\" is neither %s nor %s", text, first, second);
}

static pl_status read_kind(pl_yaml *yaml, void *into) {
  return read_either(yaml, "image", "image-text", into);
}

static pl_status read_storage(pl_yaml *yaml, void *into) {
  bool encoded = false;
  PL_TRY(read_either(yaml, "pixels", "encoded", &encoded));
  *(pl_image_storage *)into = encoded ? PL_IMAGE_ENCODED : PL_IMAGE_PIXELS;
  return PL_OK;
}

/* ---- lists ---- */

static pl_status read_class(pl_yaml *yaml, void *into) {
  pl_dataset_manifest *m = into;
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  if (*text == '\0') return pl_yaml_fail(yaml, "a class without a name");
  if (m->info.classes == CLASSES_MAX) {
    return pl_yaml_fail(yaml, "more than %d classes", CLASSES_MAX);
  }
  PL_TRY(pl_grow((void **)&m->class_name, m->info.classes, sizeof *m->class_name));
  char *name = pl_strdup(text);
  if (!name) return PL_E_INTERNAL;
  m->class_name[m->info.classes++] = name;
  return PL_OK;
}

static pl_status read_classes(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_class, into);
}

/* Names follow from the position, so that none can repeat or lead out of the folder; the one that
 * belongs here already stands in `into`. */
static pl_status read_shard_name(pl_yaml *yaml, void *into) {
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  if (strcmp(text, into) == 0) return PL_OK;
  return pl_yaml_fail(yaml, "\"%.80s\" where %s belongs", text, (const char *)into);
}

static pl_status read_shard(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      {"name", read_shard_name, offsetof(pl_shard_record, name)},
      {"samples", read_samples, offsetof(pl_shard_record, samples)},
      {"captions", read_captions, offsetof(pl_shard_record, captions)},
      {"bytes", read_bytes, offsetof(pl_shard_record, bytes)},
      {"hash", pl_yaml_hash, offsetof(pl_shard_record, hash)},
  };
  pl_dataset_manifest *m = into;
  if (m->info.shards == SHARDS_MAX) return pl_yaml_fail(yaml, "more than %d shards", SHARDS_MAX);
  PL_TRY(pl_grow((void **)&m->shards, m->info.shards, sizeof *m->shards));
  pl_shard_record *record = &m->shards[m->info.shards];
  pl_shard_name(m->info.shards++, record->name);
  PL_TRY(pl_yaml_mapping(yaml, keys, sizeof keys / sizeof *keys, record));
  m->info.bytes += record->bytes;
  return PL_OK;
}

static pl_status read_shards(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_shard, into);
}

/* ---- the whole ---- */

static pl_status check_sums(const pl_yaml *yaml, const pl_dataset_manifest *m) {
  int64_t samples = 0, captions = 0;
  for (int i = 0; i < m->info.shards; i++) {
    samples += m->shards[i].samples;
    captions += m->shards[i].captions;
  }
  if (samples == m->info.samples && captions == m->info.captions) return PL_OK;
  return pl_yaml_fail(yaml,
                      "the shards hold %lld samples and %lld captions together, but the dataset "
                      "is said to hold %lld and %lld",
                      (long long)samples, (long long)captions, (long long)m->info.samples,
                      (long long)m->info.captions);
}

static pl_status read_dataset(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      {"format", read_format, 0},
      {"version", read_version, 0},
      {"kind", read_kind, offsetof(document, text)},
      {"samples", read_samples, offsetof(document, manifest.info.samples)},
      {"captions", read_captions, offsetof(document, manifest.info.captions)},
      {"storage", read_storage, offsetof(document, manifest.info.storage)},
      {"height", read_side, offsetof(document, manifest.info.height)},
      {"width", read_side, offsetof(document, manifest.info.width)},
      {"classes", read_classes, offsetof(document, manifest)},
      {"shards", read_shards, offsetof(document, manifest)},
  };
  const document *read = into;
  const pl_dataset_info *info = &read->manifest.info;
  PL_TRY(pl_yaml_mapping(yaml, keys, sizeof keys / sizeof *keys, into));
  if ((info->height == 0) != (info->width == 0) ||
      (info->storage == PL_IMAGE_PIXELS && info->height == 0)) {
    return pl_yaml_fail(yaml, "height %d and width %d do not fit the storage", info->height,
                        info->width);
  }
  if (read->text != (info->captions > 0)) {
    return pl_yaml_fail(yaml, "kind is %s, but there are %lld captions",
                        read->text ? "image-text" : "image", (long long)info->captions);
  }
  return check_sums(yaml, &read->manifest);
}

pl_status pl_dataset_manifest_parse(const char *name, const char *text, size_t size,
                                    pl_dataset_manifest **out) {
  pl_status status;
  document read = {0};
  *out = NULL;
  PL_TRY_OR(done, status, pl_yaml_read(name, text, size, read_dataset, &read));
  *out = pl_alloc(1, sizeof **out);
  if (!*out) {
    status = PL_E_INTERNAL;
    goto done;
  }
  pl_hash_text(pl_hash(text, size), read.manifest.info.hash);
  **out = read.manifest;
  read.manifest = (pl_dataset_manifest){0}; /* the lists have moved */
done:
  free_lists(&read.manifest);
  return status;
}

pl_status pl_dataset_manifest_read(const char *folder, pl_dataset_manifest **out) {
  char path[PL_PATH_MAX];
  char *text = NULL;
  size_t size = 0;
  *out = NULL;
  PL_TRY(pl_path_join(folder, PL_DATASET_MANIFEST, path));
  if (!pl_path_exists(path)) {
    return PL_FAIL(PL_E_DATA, "%s is no dataset: there is no %s in it", folder,
                   PL_DATASET_MANIFEST);
  }
  PL_TRY(pl_read_file(path, MANIFEST_BYTES_MAX, &text, &size));
  pl_status status = pl_dataset_manifest_parse(path, text, size, out);
  pl_free(text);
  if (status == PL_OK) snprintf((*out)->folder, sizeof(*out)->folder, "%s", folder);
  return status;
}
