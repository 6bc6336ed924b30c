/* plenum data pack: a dataset from images with or without captions. Collective. */
#include <string.h>

#include "launch/pack/arguments.h"
#include "launch/pack/cifar.h"
#include "launch/pack/folder.h"
#include "launch/pack/images.h"
#include "launch/pack/pairs.h"
#include "launch/pack/table.h"
#include "launch/pack/webdataset.h"

typedef enum format {
  FORMAT_AUTO,
  FORMAT_FOLDER,
  FORMAT_TABLE,
  FORMAT_PAIRS,
  FORMAT_WEBDATASET,
  FORMAT_CIFAR10,
  FORMAT_CIFAR100
} format;

typedef struct packing {
  const char *source;
  int64_t format, storage, size, split, separator;
  const char *image_column, *caption_columns, *label_column;
  bool skip_bad;
  pl_pack_options options;
} packing;

enum { SPLIT_UNSAID = -1, SPLIT_TRAIN, SPLIT_TEST };
static const char separators[] = {'\0', '\t', ',', ';'};

static pl_status parse(const pl_command *command, int argc, char **argv, packing *p, bool *helped) {
  const pl_option table[] = {
      {.name = "format",
       .kind = PL_OPTION_CHOICE,
       .value = &p->format,
       .choices = "auto|folder|table|pairs|webdataset|cifar10|cifar100",
       .help = "what SOURCE is: image files, in a folder for each class or without classes; a TSV "
               "or CSV file of paths and captions; image files with texts of the same name beside "
               "them, a caption in each line; tar files of KEY.jpg or .png, KEY.txt and KEY.cls"},
      {.name = "image-column",
       .kind = PL_OPTION_TEXT,
       .value = &p->image_column,
       .help = "column of a table with the images' paths, from the table's folder on; 'path' if "
               "not said"},
      {.name = "caption-column",
       .kind = PL_OPTION_TEXT,
       .value = &p->caption_columns,
       .help = "column of a table with the captions, or several, separated by commas; 'caption' if "
               "not said, '' for none"},
      {.name = "label-column",
       .kind = PL_OPTION_TEXT,
       .value = &p->label_column,
       .help = "column of a table with labels, whose different words become the classes"},
      {.name = "separator",
       .kind = PL_OPTION_CHOICE,
       .value = &p->separator,
       .choices = "auto|tab|comma|semicolon",
       .help =
           "what parts the fields of a table; auto: by its ending, .tsv or .csv. Quoting is for "
           "commas and semicolons only"},
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
       .help = "name and leave out images that cannot be decoded or lack a caption, instead of "
               "failing"},
      {0}};
  PL_TRY(pl_pack_arguments_parse(command, table, argc, argv, &p->source, &p->options, helped));
  if (p->size > 0 && p->storage == PL_STORE_ENCODED) {
    return PL_FAIL(PL_E_USAGE, "--size stores pixels; it does not go with --storage encoded");
  }
  return PL_OK;
}

/* Where the format is left open, the files tell. */
static format detect(const char *source) {
  if (pl_webdataset_detect(source)) return FORMAT_WEBDATASET;
  if (pl_table_detect(source)) return FORMAT_TABLE;
  int cifar = pl_cifar_detect(source);
  return cifar == 10 ? FORMAT_CIFAR10 : cifar == 100 ? FORMAT_CIFAR100 : FORMAT_FOLDER;
}

static pl_status check_options(const packing *p) {
  bool cifar = p->format == FORMAT_CIFAR10 || p->format == FORMAT_CIFAR100;
  bool columns = p->image_column || p->caption_columns || p->label_column || p->separator > 0;
  if (!cifar && p->split != SPLIT_UNSAID) {
    return PL_FAIL(PL_E_USAGE, "--split is for CIFAR files; of others give the one to pack");
  }
  if (cifar && (p->size != 0 || p->storage == PL_STORE_ENCODED)) {
    return PL_FAIL(PL_E_USAGE, "CIFAR files are packed as pixels of 32 x 32, without --size");
  }
  if (columns && p->format != FORMAT_TABLE) {
    return PL_FAIL(PL_E_USAGE, "columns and a separator are for tables; --format table says so");
  }
  return PL_OK;
}

/* Rank 0 looks, so that all ranks decide alike whatever their file systems' caches. */
static pl_status settle_format(pl_comm *comm, packing *p) {
  if (p->format == FORMAT_AUTO && pl_comm_rank(comm) == 0) p->format = detect(p->source);
  PL_TRY(pl_comm_broadcast(comm, &p->format, sizeof p->format, 0));
  return pl_comm_agree(comm, check_options(p));
}

static pl_status pack_images(pl_comm *comm, const packing *p) {
  const pl_images_options options = {
      .list = p->format == FORMAT_TABLE        ? pl_list_table
              : p->format == FORMAT_PAIRS      ? pl_list_pairs
              : p->format == FORMAT_WEBDATASET ? pl_list_webdataset
                                               : pl_list_folder,
      .listed = {.source = p->source,
                 .skip_bad = p->skip_bad,
                 .separator = separators[p->separator],
                 .image_column = p->image_column ? p->image_column : "path",
                 .caption_columns = p->caption_columns ? p->caption_columns : "caption",
                 .label_column = p->label_column},
      .storage = (pl_storage_choice)p->storage,
      .size = (int)p->size};
  pl_images *images = NULL;
  PL_TRY(pl_images_open(comm, &options, &images));
  pl_status status = pl_pack(comm, pl_images_source(images), &p->options);
  pl_images_close(&images);
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
  PL_TRY(settle_format(comm, p));
  bool cifar = p->format == FORMAT_CIFAR10 || p->format == FORMAT_CIFAR100;
  PL_TRY(cifar ? pack_cifar(comm, p) : pack_images(comm, p));
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
    .summary = "make a dataset from images, with labels and captions or without",
    .run = run,
};
