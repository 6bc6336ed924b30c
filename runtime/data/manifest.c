#include "runtime/data/manifest.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/hash.h"
#include "runtime/base/memory.h"
#include "runtime/data/decode.h"
#include "runtime/data/yaml.h"

/* Beyond any real dataset, and small enough that sums of them cannot overflow. */
static const int64_t SAMPLES_MAX = (int64_t)1 << 40;
static const int64_t BYTES_MAX = (int64_t)1 << 56;
enum { SHARDS_MAX = 1 << 20, CLASSES_MAX = 1 << 20, MANIFEST_BYTES_MAX = 256 << 20 };

void pl_shard_name(int index, char name[32]) { snprintf(name, 32, "part-%05d.h5", index); }

void pl_dataset_manifest_destroy(pl_dataset_manifest **manifest) {
  pl_dataset_manifest *m = *manifest;
  if (!m) return;
  for (int i = 0; m->class_name && i < m->info.classes; i++) pl_free(m->class_name[i]);
  pl_free(m->class_name);
  pl_free(m->shards);
  pl_free(m);
  *manifest = NULL;
}

static pl_status read_hash(const pl_yaml *yaml, const yaml_node_t *shard, const char *hash,
                           pl_shard_record *record) {
  if (strlen(hash) != PL_HASH_TEXT - 1 || strspn(hash, "0123456789abcdef") != PL_HASH_TEXT - 1) {
    return pl_yaml_fail(yaml, shard, "hash of %s is not 32 lower-case hex digits", record->name);
  }
  memcpy(record->hash, hash, PL_HASH_TEXT);
  return PL_OK;
}

/* Names follow from the position, so that none can repeat or lead out of the folder. */
static pl_status read_shard(const pl_yaml *yaml, yaml_node_t *node, int index,
                            pl_shard_record *record) {
  const char *name = NULL;
  const char *hash = NULL;
  const pl_yaml_field fields[] = {
      {"name", .word = &name},
      {"samples", .number = &record->samples, .low = 1, .high = SAMPLES_MAX},
      {"captions", .number = &record->captions, .low = 0, .high = SAMPLES_MAX},
      {"bytes", .number = &record->bytes, .low = 1, .high = BYTES_MAX},
      {"hash", .word = &hash},
  };
  PL_TRY(pl_yaml_read_mapping(yaml, node, "shard", fields, sizeof fields / sizeof *fields));
  pl_shard_name(index, record->name);
  if (strcmp(name, record->name) != 0) {
    return pl_yaml_fail(yaml, node, "shard named \"%s\" where %s belongs", name, record->name);
  }
  return read_hash(yaml, node, hash, record);
}

static pl_status read_shards(const pl_yaml *yaml, const yaml_node_t *list, pl_dataset_manifest *m) {
  int count = 0;
  PL_TRY(pl_yaml_sequence(yaml, list, "shards", 1, SHARDS_MAX, &count));
  m->shards = pl_alloc((size_t)count, sizeof *m->shards);
  if (!m->shards) return PL_E_INTERNAL;
  m->info.shards = count;
  int64_t samples = 0;
  int64_t captions = 0;
  for (int i = 0; i < count; i++) {
    PL_TRY(read_shard(yaml, pl_yaml_item(yaml, list, i), i, &m->shards[i]));
    samples += m->shards[i].samples;
    captions += m->shards[i].captions;
    m->info.bytes += m->shards[i].bytes;
  }
  if (samples != m->info.samples || captions != m->info.captions) {
    return pl_yaml_fail(yaml, list,
                        "the shards hold %lld samples and %lld captions together, but the dataset "
                        "is said to hold %lld and %lld",
                        (long long)samples, (long long)captions, (long long)m->info.samples,
                        (long long)m->info.captions);
  }
  return PL_OK;
}

static pl_status read_classes(const pl_yaml *yaml, const yaml_node_t *list,
                              pl_dataset_manifest *m) {
  int count = 0;
  PL_TRY(pl_yaml_sequence(yaml, list, "classes", 0, CLASSES_MAX, &count));
  m->class_name = pl_alloc((size_t)count, sizeof *m->class_name);
  if (!m->class_name) return PL_E_INTERNAL;
  m->info.classes = count;
  for (int i = 0; i < count; i++) {
    const char *name = NULL;
    PL_TRY(pl_yaml_word(yaml, pl_yaml_item(yaml, list, i), "class name", &name));
    m->class_name[i] = pl_strdup(name);
    if (!m->class_name[i]) return PL_E_INTERNAL;
  }
  return PL_OK;
}

static pl_status read_shape(const pl_yaml *yaml, const yaml_node_t *root, const char *storage,
                            const char *kind, pl_dataset_info *info) {
  if (strcmp(storage, "pixels") == 0) {
    info->storage = PL_IMAGE_PIXELS;
  } else if (strcmp(storage, "encoded") == 0) {
    info->storage = PL_IMAGE_ENCODED;
  } else {
    return pl_yaml_fail(yaml, root, "storage is \"%s\"; pixels and encoded are known", storage);
  }
  if ((info->height == 0) != (info->width == 0) ||
      (info->storage == PL_IMAGE_PIXELS && info->height == 0)) {
    return pl_yaml_fail(yaml, root, "height %d and width %d do not fit storage \"%s\"",
                        info->height, info->width, storage);
  }
  bool text = strcmp(kind, "image-text") == 0;
  if (!text && strcmp(kind, "image") != 0) {
    return pl_yaml_fail(yaml, root, "kind is \"%s\"; image and image-text are known", kind);
  }
  if (text != (info->captions > 0)) {
    return pl_yaml_fail(yaml, root, "kind is %s, but there are %lld captions", kind,
                        (long long)info->captions);
  }
  return PL_OK;
}

static pl_status check_version(const pl_yaml *yaml, yaml_node_t *root) {
  yaml_node_t *node = pl_yaml_find(yaml, root, "version");
  int64_t version = 0;
  if (!node) return pl_yaml_fail(yaml, root, "no key \"version\": this is no dataset manifest");
  PL_TRY(pl_yaml_number(yaml, node, "version", 1, INT32_MAX, &version));
  if (version != PL_DATASET_VERSION) {
    return pl_yaml_fail(yaml, node, "format version %lld; this program reads version %d",
                        (long long)version, PL_DATASET_VERSION);
  }
  return PL_OK;
}

static pl_status read_root(const pl_yaml *yaml, yaml_node_t *root, pl_dataset_manifest *m) {
  pl_dataset_info *info = &m->info;
  const char *format = NULL;
  const char *kind = NULL;
  const char *storage = NULL;
  yaml_node_t *classes = NULL;
  yaml_node_t *shards = NULL;
  int64_t version = 0;
  int64_t height = 0;
  int64_t width = 0;
  const pl_yaml_field fields[] = {
      {"format", .word = &format},
      {"version", .number = &version, .low = 1, .high = INT32_MAX},
      {"kind", .word = &kind},
      {"samples", .number = &info->samples, .low = 1, .high = SAMPLES_MAX},
      {"captions", .number = &info->captions, .low = 0, .high = SAMPLES_MAX},
      {"storage", .word = &storage},
      {"height", .number = &height, .low = 0, .high = PL_IMAGE_SIDE_MAX},
      {"width", .number = &width, .low = 0, .high = PL_IMAGE_SIDE_MAX},
      {"classes", .node = &classes},
      {"shards", .node = &shards},
  };
  PL_TRY(check_version(yaml, root));
  PL_TRY(pl_yaml_read_mapping(yaml, root, "dataset", fields, sizeof fields / sizeof *fields));
  if (strcmp(format, "plenum-dataset") != 0) {
    return pl_yaml_fail(yaml, root, "format is \"%s\", not plenum-dataset", format);
  }
  info->height = (int)height;
  info->width = (int)width;
  PL_TRY(read_shape(yaml, root, storage, kind, info));
  PL_TRY(read_classes(yaml, classes, m));
  return read_shards(yaml, shards, m);
}

pl_status pl_dataset_manifest_parse(const char *name, const char *text, size_t size,
                                    pl_dataset_manifest **out) {
  pl_status status = PL_OK;
  pl_yaml yaml = {.name = name};
  pl_dataset_manifest *m = pl_alloc(1, sizeof *m);
  *out = NULL;
  if (!m) return PL_E_INTERNAL;
  PL_TRY_OR(done, status, pl_yaml_load(&yaml, text, size));
  PL_TRY_OR(done, status, read_root(&yaml, yaml_document_get_root_node(&yaml.document), m));
  pl_hash_text(pl_hash(text, size), m->info.hash);
  *out = m;
  m = NULL;
done:
  pl_yaml_free(&yaml);
  pl_dataset_manifest_destroy(&m);
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
