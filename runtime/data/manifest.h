/* dataset.yaml in memory. For runtime/data, and for programs that look at a dataset shard by shard
 * (verify must get past a broken one). */
#ifndef PL_DATA_MANIFEST_H
#define PL_DATA_MANIFEST_H

#include "runtime/base/file.h"
#include "runtime/data/writer.h"

#define PL_DATASET_MANIFEST "dataset.yaml"

typedef struct pl_dataset_manifest {
  char folder[PL_PATH_MAX];
  pl_dataset_info info;
  char **class_name;       /* (info.classes) */
  pl_shard_record *shards; /* (info.shards) */
} pl_dataset_manifest;

/* Reads and checks the manifest of the dataset in `folder`. PL_E_DATA: "file:line: …". */
pl_status pl_dataset_manifest_read(const char *folder, pl_dataset_manifest **out);

/* The same from memory; `name` is for messages, and the folder stays empty. */
pl_status pl_dataset_manifest_parse(const char *name, const char *text, size_t size,
                                    pl_dataset_manifest **out);

/* NULL content is allowed; leaves NULL. */
void pl_dataset_manifest_destroy(pl_dataset_manifest **manifest);

/* "part-00007.h5" */
void pl_shard_name(int index, char name[32]);

#endif
