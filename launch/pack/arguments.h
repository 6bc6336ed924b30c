/* What the commands that make a dataset are told alike: --out, --shard-mb, --overwrite, and one
 * operand. */
#ifndef LAUNCH_PACK_ARGUMENTS_H
#define LAUNCH_PACK_ARGUMENTS_H

#include "launch/command.h"
#include "launch/pack/pack.h"

/* Parses `argv` against the command's own options (at most 16, ended by an entry with name NULL)
 * and those above. Unless *helped, `operand` and `out` point into argv afterwards. */
pl_status pl_pack_arguments_parse(const pl_command *command, const pl_option *own, int argc,
                                  char **argv, const char **operand, pl_pack_options *out,
                                  bool *helped);

#endif
