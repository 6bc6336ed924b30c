/* What tests of packing share: sources in a scratch folder that all ranks see, commands run on all
 * ranks, datasets compared. */
#ifndef TESTS_DIST_PACKING_H
#define TESTS_DIST_PACKING_H

#include <string.h>

#include "launch/command.h"
#include "runtime/base/file.h"
#include "runtime/data/dataset.h"
#include "tests/dist/ranks.h"

/* A scratch folder that all ranks see; rank 0 removes it. */
void make_scratch(pl_comm *comm, char scratch[PL_PATH_MAX]);
void remove_scratch(pl_comm *comm, const char *scratch);
void in_scratch(const char *scratch, const char *name, char path[PL_PATH_MAX]);

/* Writes a file in it, and the folders it needs. */
void write_file(const char *scratch, const char *name, const void *bytes, size_t size);

enum { PNG_BYTES_MAX = 64 * 64 * 4 };

/* Encodes an image of at most 64 x 64 pixels, which are a function of `tint`; returns its bytes. */
size_t make_png(int width, int height, int tint, uint8_t bytes[PNG_BYTES_MAX]);
void write_png(const char *scratch, const char *name, int width, int height, int tint);

/* Runs a command with words parted by blanks; "@" stands for the scratch folder. */
pl_status run(pl_comm *comm, const pl_command *command, const char *scratch, const char *words);

int count_files(const char *folder);

/* Runs a command on all ranks with "--out @/many", and on rank 0 alone with "--out @/alone": both
 * must make the same `files` files, and verify must find them whole. */
void check_as_alone(pl_comm *comm, const pl_command *command, const char *scratch,
                    const char *words, int files);

#endif
