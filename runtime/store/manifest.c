#include "runtime/store/manifest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/grow.h"
#include "runtime/base/memory.h"
#include "runtime/base/yaml.h"
#include "runtime/config/text.h"

#define KEY(struct_name, name, member, read) \
  { name, read, offsetof(struct_name, member) }

void pl_manifest_part_name(int part, char out[PL_PART_NAME]) {
  snprintf(out, PL_PART_NAME, "part-%05d.h5", part);
}

static const char *const kind_names[] = {
    [PL_PARAM_WEIGHT] = "weight", [PL_PARAM_BIAS] = "bias", [PL_PARAM_GAIN] = "gain"};
enum { KINDS = sizeof kind_names / sizeof *kind_names };

const char *pl_manifest_kind_name(pl_param_kind kind) { return kind_names[kind]; }

static pl_status read_format(pl_yaml *yaml, void *into) {
  (void)into;
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  if (strcmp(text, "plenum-checkpoint") != 0) {
    return pl_yaml_fail(yaml, "\"%.40s\" is not \"plenum-checkpoint\"", text);
  }
  return PL_OK;
}

/* Stands at the beginning of every manifest, so another format is recognised before its keys. */
static pl_status read_version(pl_yaml *yaml, void *into) {
  (void)into;
  int64_t version = 0;
  PL_TRY(pl_yaml_count(yaml, &version));
  if (version == PL_CHECKPOINT_VERSION) return PL_OK;
  if (version < 1) return pl_yaml_fail(yaml, "there is no format %lld", (long long)version);
  bool newer = version > PL_CHECKPOINT_VERSION;
  return pl_yaml_fail(
      yaml, "the checkpoint has format %lld, %s than format %d that this program reads; use %s",
      (long long)version, newer ? "newer" : "older", PL_CHECKPOINT_VERSION,
      newer ? "a newer plenum" : "the plenum that wrote it");
}

static pl_status read_block(pl_yaml *yaml, void *into) {
  (void)into;
  int64_t elements = 0;
  PL_TRY(pl_yaml_count(yaml, &elements));
  if (elements != PL_BLOCK) {
    return pl_yaml_fail(yaml, "blocks of %lld elements; this program has blocks of %d",
                        (long long)elements, PL_BLOCK);
  }
  return PL_OK;
}

static pl_status read_string(pl_yaml *yaml, void *into) {
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  const char **string = into;
  *string = pl_strdup(text);
  return *string ? PL_OK : PL_E_INTERNAL;
}

static pl_status read_name(pl_yaml *yaml, void *into) {
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  size_t length = strlen(text);
  if (length == 0 || length >= PL_NAME_MAX) {
    return pl_yaml_fail(yaml, "a name of %zu bytes; 1 to %d are allowed", length, PL_NAME_MAX - 1);
  }
  memcpy(into, text, length + 1);
  return PL_OK;
}

static pl_status read_dataset(pl_yaml *yaml, void *into) {
  char hash[PL_CHECKPOINT_HASH];
  PL_TRY(pl_yaml_hash(yaml, hash));
  return read_string(yaml, into);
}

/* "none" is NaN. */
static pl_status read_value(pl_yaml *yaml, void *into) {
  const char *text;
  double *value = into;
  PL_TRY(pl_yaml_text(yaml, &text));
  if (strcmp(text, "none") == 0) {
    *value = NAN;
  } else if (!pl_parse_real(text, value)) {
    return pl_yaml_fail(yaml, "\"%.40s\" is not a number, nor \"none\"", text);
  }
  return PL_OK;
}

static pl_status read_kind(pl_yaml *yaml, void *into) {
  const char *text;
  PL_TRY(pl_yaml_text(yaml, &text));
  for (int k = 0; k < KINDS; k++) {
    if (strcmp(text, kind_names[k]) == 0) {
      *(pl_param_kind *)into = (pl_param_kind)k;
      return PL_OK;
    }
  }
  return pl_yaml_fail(yaml, "\"%.40s\" is not weight, bias or gain", text);
}

static pl_status read_positive(pl_yaml *yaml, void *into) {
  PL_TRY(pl_yaml_count(yaml, into));
  if (*(int64_t *)into == 0) return pl_yaml_fail(yaml, "must be above 0");
  return PL_OK;
}

static pl_status read_dim(pl_yaml *yaml, void *into) {
  pl_manifest_tensor *tensor = into;
  if (tensor->dims == PL_MAX_DIMS) {
    return pl_yaml_fail(yaml, "more than %d dimensions", PL_MAX_DIMS);
  }
  return read_positive(yaml, &tensor->dim[tensor->dims++]);
}

static pl_status read_shape(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_dim, into);
}

static pl_status read_tensor(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      KEY(pl_manifest_tensor, "name", name, read_name),
      KEY(pl_manifest_tensor, "kind", kind, read_kind),
      {"shape", read_shape, 0},
  };
  pl_manifest *manifest = into;
  PL_TRY(pl_grow((void **)&manifest->tensor, manifest->tensors, sizeof *manifest->tensor));
  pl_manifest_tensor *tensor = &manifest->tensor[manifest->tensors++];
  PL_TRY(pl_yaml_mapping(yaml, keys, 3, tensor));
  if (tensor->dims == 0) return pl_yaml_fail(yaml, "\"%s\" has no shape", tensor->name);
  int64_t count = 1;
  for (int i = 0; i < tensor->dims; i++) {
    if (__builtin_mul_overflow(count, tensor->dim[i], &count)) {
      return pl_yaml_fail(yaml, "\"%s\" is larger than any memory", tensor->name);
    }
  }
  tensor->first_block = manifest->blocks;
  tensor->blocks = (count - 1) / PL_BLOCK + 1;
  manifest->blocks += tensor->blocks; /* both are at most 2^53: the sum is checked in time */
  if (manifest->blocks > INT64_MAX / PL_BLOCK) {
    return pl_yaml_fail(yaml, "the tensors are together larger than any memory");
  }
  return PL_OK;
}

static pl_status read_buffer(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      KEY(pl_manifest_buffer, "name", name, read_name),
      KEY(pl_manifest_buffer, "count", count, read_positive),
  };
  pl_manifest *manifest = into;
  PL_TRY(pl_grow((void **)&manifest->buffer, manifest->buffers, sizeof *manifest->buffer));
  pl_manifest_buffer *buffer = &manifest->buffer[manifest->buffers++];
  PL_TRY(pl_yaml_mapping(yaml, keys, 2, buffer));
  buffer->offset = manifest->buffer_elements;
  if (__builtin_add_overflow(manifest->buffer_elements, buffer->count,
                             &manifest->buffer_elements)) {
    return pl_yaml_fail(yaml, "the buffers are together larger than any memory");
  }
  return PL_OK;
}

bool pl_manifest_is_vector_name(const char *name) {
  static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  size_t length = strlen(name);
  return length > 0 && length < PL_NAME_MAX && strspn(name, allowed) == length && name[0] != '.';
}

static pl_status read_vector(pl_yaml *yaml, void *into) {
  pl_checkpoint_vectors *vectors = into;
  const char *text;
  if (vectors->count == PL_CHECKPOINT_VECTORS) {
    return pl_yaml_fail(yaml, "more than %d vectors", PL_CHECKPOINT_VECTORS);
  }
  PL_TRY(pl_yaml_text(yaml, &text));
  if (!pl_manifest_is_vector_name(text)) {
    return pl_yaml_fail(yaml, "\"%.40s\" is not a name for a vector", text);
  }
  if (pl_manifest_find_vector(vectors, text) >= 0) {
    return pl_yaml_fail(yaml, "the vector \"%s\" stands twice", text);
  }
  return read_string(yaml, &vectors->name[vectors->count++]);
}

/* A part's file has the name of its number; the manifest can't lead out of the folder. */
typedef struct part_entry {
  pl_checkpoint_part_record record;
  char file[PL_NAME_MAX];
} part_entry;

static pl_status read_part(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      KEY(part_entry, "file", file, read_name),
      KEY(part_entry, "bytes", record.bytes, read_positive),
      KEY(part_entry, "hash", record.hash, pl_yaml_hash),
  };
  pl_manifest *manifest = into;
  part_entry entry = {0};
  PL_TRY(pl_yaml_mapping(yaml, keys, 3, &entry));
  char expected[PL_PART_NAME];
  pl_manifest_part_name(manifest->about.parts, expected);
  if (strcmp(entry.file, expected) != 0) {
    return pl_yaml_fail(yaml, "the file \"%s\" stands where \"%s\" is expected", entry.file,
                        expected);
  }
  PL_TRY(pl_grow((void **)&manifest->part, manifest->about.parts, sizeof *manifest->part));
  manifest->part[manifest->about.parts++] = entry.record;
  return PL_OK;
}

/* Adds a count of the ledger to a sum that nobody after us has to check. */
static pl_status add_count(pl_yaml *yaml, int64_t *sum, int64_t count) {
  if (!__builtin_add_overflow(*sum, count, sum)) return PL_OK;
  return pl_yaml_fail(yaml, "the ledger has more samples than can be counted");
}

static pl_status read_shard(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      KEY(pl_checkpoint_shard, "shard", name, read_string),
      KEY(pl_checkpoint_shard, "seen", seen, pl_yaml_count),
      KEY(pl_checkpoint_shard, "repeated", repeated, pl_yaml_count),
      KEY(pl_checkpoint_shard, "skipped", skipped, pl_yaml_count),
  };
  pl_manifest *manifest = into;
  PL_TRY(pl_grow((void **)&manifest->shard, manifest->about.shards, sizeof *manifest->shard));
  return pl_yaml_mapping(yaml, keys, 4, &manifest->shard[manifest->about.shards++]);
}

static pl_status read_ledger(pl_yaml *yaml, void *into) {
  pl_manifest *manifest = into;
  int64_t sum = 0;
  PL_TRY(pl_yaml_sequence(yaml, read_shard, manifest));
  for (int s = 0; s < manifest->about.shards; s++) {
    const pl_checkpoint_shard *shard = &manifest->shard[s];
    PL_TRY(add_count(yaml, &sum, shard->seen));
    PL_TRY(add_count(yaml, &sum, shard->repeated));
    PL_TRY(add_count(yaml, &sum, shard->skipped));
  }
  return PL_OK;
}

static pl_status read_vectors(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_vector, into);
}

static pl_status read_parts(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_part, into);
}

static pl_status read_tensors(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_tensor, into);
}

static pl_status read_buffers(pl_yaml *yaml, void *into) {
  return pl_yaml_sequence(yaml, read_buffer, into);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Tells of a name that stands twice, among `count` names that lie `stride` bytes apart. */
static pl_status check_unique(pl_yaml *yaml, const char *what, const char *first, int count,
                              size_t stride) {
  const char **sorted = pl_alloc((size_t)count, sizeof *sorted);
  if (!sorted) return PL_E_INTERNAL;
  for (int i = 0; i < count; i++) sorted[i] = first + (size_t)i * stride;
  qsort(sorted, (size_t)count, sizeof *sorted, by_name);
  pl_status status = PL_OK;
  for (int i = 1; i < count && status == PL_OK; i++) {
    if (strcmp(sorted[i - 1], sorted[i]) == 0) {
      status = pl_yaml_fail(yaml, "the %s \"%s\" stands twice", what, sorted[i]);
    }
  }
  pl_free(sorted);
  return status;
}

/* Refuses what the parts can't hold, so that a few bytes of manifest can't ask for any memory. */
static pl_status check_sizes(pl_yaml *yaml, const pl_manifest *manifest) {
  if (manifest->about.parts == 0) return pl_yaml_fail(yaml, "no parts");
  double bytes = 0;
  for (int p = 0; p < manifest->about.parts; p++) bytes += (double)manifest->part[p].bytes;
  double needed = ((double)manifest->blocks * PL_BLOCK * manifest->sliced.count +
                   (double)manifest->buffer_elements * manifest->replicated.count) *
                  sizeof(float);
  if (needed > bytes) {
    return pl_yaml_fail(yaml, "the tensors need %.0f bytes, but the parts have only %.0f", needed,
                        bytes);
  }
  return PL_OK;
}

static pl_status read_manifest(pl_yaml *yaml, void *into) {
  static const pl_yaml_key keys[] = {
      {"format", read_format, 0},
      {"version", read_version, 0},
      KEY(pl_manifest, "step", about.step, pl_yaml_count),
      KEY(pl_manifest, "position", about.position, pl_yaml_count),
      KEY(pl_manifest, "passed_over", about.passed_over, pl_yaml_count),
      KEY(pl_manifest, "build", about.build, read_string),
      KEY(pl_manifest, "dataset", about.dataset, read_dataset),
      KEY(pl_manifest, "state", about.state_hash, pl_yaml_hash),
      KEY(pl_manifest, "metric", about.metric, read_string),
      KEY(pl_manifest, "value", about.value, read_value),
      {"block", read_block, 0},
      KEY(pl_manifest, "vectors", sliced, read_vectors),
      KEY(pl_manifest, "replicated", replicated, read_vectors),
      {"parts", read_parts, 0},
      {"tensors", read_tensors, 0},
      {"buffers", read_buffers, 0},
      {"ledger", read_ledger, 0},
      KEY(pl_manifest, "config", about.config_yaml, read_string),
  };
  pl_manifest *manifest = into;
  PL_TRY(pl_yaml_mapping(yaml, keys, sizeof keys / sizeof *keys, manifest));
  manifest->about.part = manifest->part;
  manifest->about.shard = manifest->shard;
  if (manifest->tensors > 0) {
    PL_TRY(check_unique(yaml, "tensor", manifest->tensor[0].name, manifest->tensors,
                        sizeof *manifest->tensor));
  }
  if (manifest->buffers > 0) {
    PL_TRY(check_unique(yaml, "buffer", manifest->buffer[0].name, manifest->buffers,
                        sizeof *manifest->buffer));
  }
  return check_sizes(yaml, manifest);
}

pl_status pl_manifest_parse(const char *name, const char *text, size_t size, pl_manifest **out) {
  pl_manifest *manifest = pl_alloc(1, sizeof *manifest);
  if (!manifest) return PL_E_INTERNAL;
  pl_status status = pl_yaml_read(name, text, size, read_manifest, manifest);
  if (status != PL_OK) pl_manifest_destroy(&manifest);
  *out = manifest;
  return status;
}

/* For others the texts are constant, but they are ours. */
static void free_text(const char *text) { pl_free((void *)text); }

void pl_manifest_destroy(pl_manifest **manifest) {
  pl_manifest *m = *manifest;
  if (!m) return;
  free_text(m->about.build);
  free_text(m->about.dataset);
  free_text(m->about.metric);
  free_text(m->about.config_yaml);
  for (int s = 0; s < m->about.shards; s++) free_text(m->shard[s].name);
  for (int v = 0; v < m->sliced.count; v++) free_text(m->sliced.name[v]);
  for (int v = 0; v < m->replicated.count; v++) free_text(m->replicated.name[v]);
  pl_free(m->part);
  pl_free(m->shard);
  pl_free(m->tensor);
  pl_free(m->buffer);
  pl_free(m);
  *manifest = NULL;
}
