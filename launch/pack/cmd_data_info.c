/* plenum data info: what is in a dataset. Rank 0 does the work; the others learn how it ended. */
#include <stdio.h>

#include "launch/command.h"
#include "runtime/base/memory.h"
#include "runtime/data/dataset.h"

/* Samples of each class, and at [classes] of those without a label. */
static pl_status count_labels(const pl_dataset *dataset, int64_t **counts) {
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  *counts = pl_alloc((size_t)info->classes + 1, sizeof **counts);
  if (!*counts) return PL_E_INTERNAL;
  for (int64_t i = 0; i < info->samples; i++) {
    int32_t label = pl_dataset_label(dataset, i);
    (*counts)[label < 0 ? info->classes : label]++;
  }
  return PL_OK;
}

static const char *storage_name(const pl_dataset_info *info) {
  return info->storage == PL_IMAGE_PIXELS ? "pixels" : "encoded";
}

static const char *kind_name(const pl_dataset_info *info) {
  return info->captions > 0 ? "image-text" : "image";
}

static void print_text(const char *folder, const pl_dataset *dataset, const int64_t *counts) {
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  printf("dataset   %s\n", folder);
  printf("kind      %s\n", kind_name(info));
  printf("samples   %lld\n", (long long)info->samples);
  if (info->captions > 0) printf("captions  %lld\n", (long long)info->captions);
  if (info->height > 0) {
    printf("images    %s, %d x %d\n", storage_name(info), info->width, info->height);
  } else {
    printf("images    %s, of several sizes\n", storage_name(info));
  }
  printf("shards    %d, %.1f MB\n", info->shards, (double)info->bytes / 1e6);
  printf("hash      %s\n", info->hash);
  printf("classes   %d\n", info->classes);
  for (int c = 0; c < info->classes; c++) {
    printf("  %8lld  %s\n", (long long)counts[c], pl_dataset_class_name(dataset, c));
  }
  if (counts[info->classes] > 0) {
    printf("  %8lld  without a label\n", (long long)counts[info->classes]);
  }
}

static void print_quoted(const char *text) {
  putchar('"');
  for (; *text; text++) {
    if ((unsigned char)*text < 0x20) {
      printf("\\u%04x", (unsigned)(unsigned char)*text);
    } else {
      if (*text == '"' || *text == '\\') putchar('\\');
      putchar(*text);
    }
  }
  putchar('"');
}

static void print_json(const char *folder, const pl_dataset *dataset, const int64_t *counts) {
  const pl_dataset_info *info = pl_dataset_get_info(dataset);
  printf("{\"dataset\": ");
  print_quoted(folder);
  printf(", \"version\": %d, \"kind\": \"%s\", \"samples\": %lld, \"captions\": %lld",
         PL_DATASET_VERSION, kind_name(info), (long long)info->samples, (long long)info->captions);
  printf(", \"storage\": \"%s\", \"height\": %d, \"width\": %d, \"shards\": %d, \"bytes\": %lld",
         storage_name(info), info->height, info->width, info->shards, (long long)info->bytes);
  printf(", \"hash\": \"%s\", \"unlabelled\": %lld, \"classes\": [", info->hash,
         (long long)counts[info->classes]);
  for (int c = 0; c < info->classes; c++) {
    printf("%s{\"name\": ", c ? ", " : "");
    print_quoted(pl_dataset_class_name(dataset, c));
    printf(", \"samples\": %lld}", (long long)counts[c]);
  }
  printf("]}\n");
}

static pl_status tell(const char *folder, bool json) {
  pl_dataset *dataset = NULL;
  int64_t *counts = NULL;
  pl_status status = pl_dataset_open(folder, &dataset);
  if (status == PL_OK) status = count_labels(dataset, &counts);
  if (status == PL_OK) (json ? print_json : print_text)(folder, dataset, counts);
  pl_free(counts);
  pl_dataset_close(&dataset);
  return status;
}

static pl_status parse_and_tell(const pl_command *command, int argc, char **argv) {
  bool json = false;
  bool helped = false;
  int count = 0;
  const pl_option table[] = {{.name = "json",
                              .kind = PL_OPTION_FLAG,
                              .value = &json,
                              .help = "as one JSON object on one line"},
                             {0}};
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  if (!operands) return PL_E_INTERNAL;
  pl_status status = pl_options_parse(command, table, argc, argv, 1, 1, operands, &count, &helped);
  if (status == PL_OK && !helped) status = tell(operands[0], json);
  pl_free(operands);
  return status;
}

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  pl_status status = pl_comm_rank(comm) == 0 ? parse_and_tell(command, argc, argv) : PL_OK;
  return pl_comm_agree(comm, status);
}

const pl_command pl_cmd_data_info = {
    .name = "data info",
    .operands = "DIR",
    .summary = "tell what is in a dataset",
    .run = run,
};
