#include "launch/pack/arguments.h"

#include <string.h>

#include "runtime/base/memory.h"

enum { OWN_MAX = 16, SHARD_MB = 256 };

pl_status pl_pack_arguments_parse(const pl_command *command, const pl_option *own, int argc,
                                  char **argv, const char **operand, pl_pack_options *out,
                                  bool *helped) {
  *out = (pl_pack_options){0};
  int64_t shard_mb = SHARD_MB;
  const pl_option first = {
      .name = "out", .kind = PL_OPTION_TEXT, .value = &out->out, .help = "dataset folder to make"};
  const pl_option last[] = {{.name = "shard-mb",
                             .kind = PL_OPTION_INT,
                             .value = &shard_mb,
                             .low = 1,
                             .high = 1e6,
                             .help = "largest size of a shard's images in MiB"},
                            {.name = "overwrite",
                             .kind = PL_OPTION_FLAG,
                             .value = &out->overwrite,
                             .help = "replace the dataset that is there"},
                            {.name = NULL}};
  pl_option table[1 + OWN_MAX + sizeof last / sizeof last[0]] = {first};
  int rows = 1;
  for (; own->name; own++) {
    PL_INVARIANT(rows <= OWN_MAX);
    table[rows++] = *own;
  }
  memcpy(&table[rows], last, sizeof last);

  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  if (!operands) return PL_E_INTERNAL;
  int count = 0;
  pl_status status = pl_options_parse(command, table, argc, argv, 1, 1, operands, &count, helped);
  *operand = operands[0];
  pl_free(operands);
  PL_TRY(status);
  if (*helped) return PL_OK;
  if (!out->out) return PL_FAIL(PL_E_USAGE, "--out is missing: the dataset folder to make");
  out->shard_bytes = shard_mb << 20;
  return PL_OK;
}
