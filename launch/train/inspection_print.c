#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "launch/json.h"
#include "launch/train/inspection.h"
#include "runtime/base/memory.h"
#include "runtime/config/config.h"
#include "runtime/data/manifest.h"

typedef struct totals {
  int tensors, buffers;
  int64_t parameters; /* trainable */
  pl_checkpoint_shard ledger;
} totals;

static int64_t count_of(const pl_checkpoint_tensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->dims; i++) count *= tensor->dim[i];
  return count;
}

static bool is_buffer(const pl_checkpoint_tensor *tensor) {
  return strcmp(tensor->kind, "buffer") == 0;
}

static totals sum_up(const pl_checkpoint *checkpoint) {
  totals t = {.ledger.name = "all"};
  const pl_checkpoint_manifest *manifest = pl_checkpoint_get_manifest(checkpoint);
  pl_checkpoint_tensor tensor;
  for (int i = 0; pl_checkpoint_get_tensor(checkpoint, i, &tensor); i++) {
    if (is_buffer(&tensor)) {
      t.buffers++;
    } else {
      t.tensors++;
      t.parameters += count_of(&tensor);
    }
  }
  for (int s = 0; s < manifest->shards; s++) {
    t.ledger.seen += manifest->shard[s].seen;
    t.ledger.repeated += manifest->shard[s].repeated;
    t.ledger.skipped += manifest->shard[s].skipped;
  }
  return t;
}

/* Passes over the dataset that the configuration names, where it is still there and the same; NaN
 * otherwise. */
static double epochs_of(const pl_checkpoint_manifest *manifest) {
  double epochs = NAN;
  pl_dataset_manifest *dataset = NULL;
  pl_config *config = pl_alloc(1, sizeof *config);
  if (!config) return epochs;
  pl_config_defaults(config);
  pl_status status =
      pl_config_parse(config, "config", manifest->config_yaml, strlen(manifest->config_yaml));
  if (status == PL_OK) status = pl_dataset_manifest_read(config->data.train, &dataset);
  if (status == PL_OK && strcmp(dataset->info.hash, manifest->dataset) == 0) {
    epochs = (double)manifest->position / (double)dataset->info.samples;
  }
  pl_dataset_manifest_destroy(&dataset);
  pl_free(config);
  return epochs;
}

/* ---- text ---- */

void pl_print_clean(const char *text) {
  for (; *text; text++) putchar((unsigned char)*text < 0x20 || *text == 0x7F ? '?' : *text);
}

static void print_line(const char *key, const char *text) {
  printf("%-11s ", key);
  pl_print_clean(text);
  putchar('\n');
}

static void print_head(const pl_inspection *it) {
  const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
  double epochs = epochs_of(m);
  print_line("checkpoint", pl_checkpoint_folder(it->checkpoint));
  printf("step        %" PRId64 "\nposition    %" PRId64 " samples", m->step, m->position);
  if (isfinite(epochs)) printf(", %.2f epochs", epochs);
  printf("\npassed over %" PRId64 " steps\n", m->passed_over);
  print_line("state", m->state_hash);
  print_line("build", m->build);
  print_line("dataset", m->dataset);
  if (m->metric[0] == '\0') return;
  printf("metric      ");
  pl_print_clean(m->metric);
  if (isfinite(m->value)) {
    printf(" %.6g\n", m->value);
  } else {
    printf(", not measured at this step\n");
  }
}

static void print_vectors(const char *key, const pl_checkpoint_vectors *vectors) {
  printf("%-11s", key);
  for (int v = 0; v < vectors->count; v++) printf("%s %s", v ? "," : "", vectors->name[v]);
  putchar('\n');
}

static void print_tensors(const pl_checkpoint *checkpoint, const totals *t) {
  pl_checkpoint_tensor tensor;
  printf("parameters  %" PRId64 " in %d tensors, and %d buffers\n", t->parameters, t->tensors,
         t->buffers);
  for (int i = 0; pl_checkpoint_get_tensor(checkpoint, i, &tensor); i++) {
    char shape[96];
    size_t length = 0;
    for (int k = 0; k < tensor.dims; k++) {
      length += (size_t)snprintf(shape + length, sizeof shape - length, "%s%" PRId64,
                                 k ? " x " : "", tensor.dim[k]);
    }
    printf("  %10" PRId64 "  %-6s  %-20s ", count_of(&tensor), tensor.kind, shape);
    pl_print_clean(tensor.name);
    putchar('\n');
  }
}

static void print_shard(const pl_checkpoint_shard *shard) {
  printf("  %10" PRId64 " seen  %6" PRId64 " repeated  %6" PRId64 " skipped  ", shard->seen,
         shard->repeated, shard->skipped);
  pl_print_clean(shard->name);
  putchar('\n');
}

static void print_parts(const pl_inspection *it) {
  const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
  printf("parts       %d, %.1f MB\n", m->parts, (double)it->bytes * 1e-6);
  for (int p = 0; p < m->parts; p++) {
    printf("  %10" PRId64 "  part-%05d.h5  ", m->part[p].bytes, p);
    pl_print_clean(it->verdict[p][0] ? it->verdict[p] : "whole");
    putchar('\n');
  }
}

void pl_inspection_print(const pl_inspection *it) {
  const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
  totals t = sum_up(it->checkpoint);
  print_head(it);
  print_vectors("vectors", pl_checkpoint_sliced(it->checkpoint));
  print_vectors("replicated", pl_checkpoint_replicated(it->checkpoint));
  print_tensors(it->checkpoint, &t);
  printf("ledger      %d shards\n", m->shards);
  for (int s = 0; s < m->shards; s++) print_shard(&m->shard[s]);
  print_shard(&t.ledger);
  print_parts(it);
}

/* ---- JSON ---- */

static void json_member(const char *key, const char *text) {
  printf(", \"%s\": ", key);
  pl_json_text(stdout, text);
}

static void json_head(const pl_inspection *it) {
  const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
  printf("{\"checkpoint\": ");
  pl_json_text(stdout, pl_checkpoint_folder(it->checkpoint));
  printf(", \"whole\": %s, \"step\": %" PRId64 ", \"position\": %" PRId64 ", \"epochs\": ",
         it->bad_parts ? "false" : "true", m->step, m->position);
  pl_json_number(stdout, epochs_of(m));
  printf(", \"passed_over\": %" PRId64, m->passed_over);
  json_member("state", m->state_hash);
  json_member("build", m->build);
  json_member("dataset", m->dataset);
  json_member("metric", m->metric);
  printf(", \"value\": ");
  pl_json_number(stdout, m->value);
}

static void json_vectors(const char *key, const pl_checkpoint_vectors *vectors) {
  printf(", \"%s\": [", key);
  for (int v = 0; v < vectors->count; v++) {
    if (v) printf(", ");
    pl_json_text(stdout, vectors->name[v]);
  }
  putchar(']');
}

static void json_tensors(const pl_checkpoint *checkpoint) {
  pl_checkpoint_tensor tensor;
  printf(", \"tensors\": [");
  for (int i = 0; pl_checkpoint_get_tensor(checkpoint, i, &tensor); i++) {
    printf("%s{\"name\": ", i ? ", " : "");
    pl_json_text(stdout, tensor.name);
    printf(", \"kind\": \"%s\", \"shape\": [", tensor.kind);
    for (int k = 0; k < tensor.dims; k++) printf("%s%" PRId64, k ? ", " : "", tensor.dim[k]);
    printf("], \"count\": %" PRId64 "}", count_of(&tensor));
  }
  putchar(']');
}

static void json_counts(const pl_checkpoint_shard *shard) {
  printf("\"seen\": %" PRId64 ", \"repeated\": %" PRId64 ", \"skipped\": %" PRId64, shard->seen,
         shard->repeated, shard->skipped);
}

static void json_ledger(const pl_checkpoint_manifest *m, const totals *t) {
  printf(", \"ledger\": {");
  json_counts(&t->ledger);
  printf(", \"shards\": [");
  for (int s = 0; s < m->shards; s++) {
    printf("%s{\"name\": ", s ? ", " : "");
    pl_json_text(stdout, m->shard[s].name);
    printf(", ");
    json_counts(&m->shard[s]);
    putchar('}');
  }
  printf("]}");
}

static void json_parts(const pl_inspection *it) {
  const pl_checkpoint_manifest *m = pl_checkpoint_get_manifest(it->checkpoint);
  printf(", \"bytes\": %" PRId64 ", \"parts\": [", it->bytes);
  for (int p = 0; p < m->parts; p++) {
    printf("%s{\"name\": \"part-%05d.h5\", \"bytes\": %" PRId64 ", \"hash\": \"%s\", \"problem\": ",
           p ? ", " : "", p, m->part[p].bytes, m->part[p].hash);
    if (it->verdict[p][0]) {
      pl_json_text(stdout, it->verdict[p]);
    } else {
      printf("null");
    }
    putchar('}');
  }
  putchar(']');
}

void pl_inspection_print_json(const pl_inspection *it) {
  totals t = sum_up(it->checkpoint);
  json_head(it);
  json_vectors("vectors", pl_checkpoint_sliced(it->checkpoint));
  json_vectors("replicated", pl_checkpoint_replicated(it->checkpoint));
  printf(", \"parameters\": %" PRId64, t.parameters);
  json_tensors(it->checkpoint);
  json_ledger(pl_checkpoint_get_manifest(it->checkpoint), &t);
  json_parts(it);
  printf("}\n");
}
