/* plenum data pack: a dataset from image files or from the CIFAR binary files. Collective. */
#include <string.h>

#include "launch/data_cifar.h"
#include "launch/data_folder.h"
#include "launch/pack_arguments.h"
#include "runtime/base/file.h"

typedef enum format { FORMAT_AUTO, FORMAT_FOLDER, FORMAT_CIFAR10, FORMAT_CIFAR100 } format;

typedef struct packing {
  const char *source;
  int64_t format, storage, size, split;
  bool skip_bad;
  pl_pack_options options;
} packing;

enum { SPLIT_UNSAID = -1, SPLIT_TRAIN, SPLIT_TEST };

static pl_status parse(const pl_command *command, int argc, char **argv, packing *p, bool *helped) {
  const pl_option table[] = {
      {.name = "format",
       .kind = PL_OPTION_CHOICE,
       .value = &p->format,
       .choices = "auto|folder|cifar10|cifar100",
       .help = "what SOURCE holds"},
      {.name = "split",
       .kind = PL_OPTION_CHOICE,
       .value = &p->split,
       .choices = "train|test",
       .help = "which of the CIFAR files, train if not said"},
      {.name = "size",
       .kind = PL_OPTION_INT,
       .value = &p->size,
       .low = 0,
       .high = 4096,
       .help = "resize the shorter side to N pixels and keep the centre; 0: as they are"},
      {.name = "storage",
       .kind = PL_OPTION_CHOICE,
       .value = &p->storage,
       .choices = "auto|pixels|encoded",
       .help = "decoded, or as they came; auto: pixels for images of one small size"},
      {.name = "skip-bad",
       .kind = PL_OPTION_FLAG,
       .value = &p->skip_bad,
       .help = "name and leave out images that cannot be decoded, instead of failing"},
      {0}};
  PL_TRY(pl_pack_arguments_parse(command, table, argc, argv, &p->source, &p->options, helped));
  if (p->size > 0 && p->storage == PL_STORE_ENCODED) {
    return PL_FAIL(PL_E_USAGE, "--size stores pixels; it does not go with --storage encoded");
  }
  return PL_OK;
}

/* Where the format is left open, the files tell. */
static pl_status settle_format(packing *p) {
  if (!pl_is_folder(p->source)) return PL_FAIL(PL_E_DATA, "%s is not a folder", p->source);
  if (p->format == FORMAT_AUTO) {
    int cifar = pl_cifar_detect(p->source);
    p->format = cifar == 10 ? FORMAT_CIFAR10 : cifar == 100 ? FORMAT_CIFAR100 : FORMAT_FOLDER;
  }
  if (p->format == FORMAT_FOLDER && p->split != SPLIT_UNSAID) {
    return PL_FAIL(PL_E_USAGE, "--split is for CIFAR files; of image folders give the one to pack");
  }
  if (p->format != FORMAT_FOLDER && (p->size != 0 || p->storage == PL_STORE_ENCODED)) {
    return PL_FAIL(PL_E_USAGE, "CIFAR files are packed as pixels of 32 x 32, without --size");
  }
  return PL_OK;
}

static pl_status pack_folder(pl_comm *comm, const packing *p) {
  const pl_folder_options folder_options = {.folder = p->source,
                                            .storage = (pl_storage_choice)p->storage,
                                            .size = (int)p->size,
                                            .skip_bad = p->skip_bad};
  pl_folder *folder = NULL;
  PL_TRY(pl_folder_open(comm, &folder_options, &folder));
  pl_status status = pl_pack(comm, pl_folder_source(folder), &p->options);
  pl_folder_close(&folder);
  return status;
}

static pl_status pack_cifar(pl_comm *comm, const packing *p) {
  pl_cifar *cifar = NULL;
  pl_status status = pl_cifar_open(p->source, p->format == FORMAT_CIFAR10 ? 10 : 100,
                                   p->split == SPLIT_TEST, &cifar);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK) status = pl_pack(comm, pl_cifar_source(cifar), &p->options);
  pl_cifar_close(&cifar);
  return status;
}

static pl_status pack(pl_comm *comm, packing *p) {
  PL_TRY(pl_comm_agree(comm, settle_format(p)));
  PL_TRY(p->format == FORMAT_FOLDER ? pack_folder(comm, p) : pack_cifar(comm, p));
  return pl_comm_agree(comm, pl_comm_rank(comm) == 0 ? pl_pack_tell(p->options.out) : PL_OK);
}

static pl_status run(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  packing p = {.split = SPLIT_UNSAID};
  bool helped = false;
  pl_status status = pl_comm_agree(comm, parse(command, argc, argv, &p, &helped));
  return status == PL_OK && !helped ? pack(comm, &p) : status;
}

const pl_command pl_cmd_data_pack = {
    .name = "data pack",
    .operands = "SOURCE --out DIR",
    .summary = "make a dataset from a folder of images or the CIFAR binary files",
    .run = run,
};
