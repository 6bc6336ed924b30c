#include "launch/pack/cifar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

enum {
  SIDE = 32,
  PLANE = SIDE * SIDE,
  IMAGE_BYTES = 3 * PLANE,
  LABELS_MAX = 2,
  FILES_MAX = 5,
  CLASSES_MAX = 100,
  NAME_MAX_BYTES = 64
};

static const char *const train10[FILES_MAX] = {"data_batch_1.bin", "data_batch_2.bin",
                                               "data_batch_3.bin", "data_batch_4.bin",
                                               "data_batch_5.bin"};
static const char *const test10[FILES_MAX] = {"test_batch.bin"};
static const char *const train100[FILES_MAX] = {"train.bin"};
static const char *const test100[FILES_MAX] = {"test.bin"};

typedef struct cifar_file {
  char path[PL_PATH_MAX];
  int fd;
  int64_t records;
} cifar_file;

struct pl_cifar {
  cifar_file files[FILES_MAX];
  int file_count;
  int label_bytes; /* CIFAR-100 has the coarse label before the fine one */
  char names[CLASSES_MAX][NAME_MAX_BYTES];
  const char *class_names[CLASSES_MAX];
  uint8_t pixels[IMAGE_BYTES];
  pl_source source;
};

static bool holds(const char *folder, const char *name) {
  char path[PL_PATH_MAX];
  return pl_path_join(folder, name, path) == PL_OK && pl_path_exists(path);
}

int pl_cifar_detect(const char *folder) {
  if (holds(folder, train10[0]) || holds(folder, test10[0])) return 10;
  if (holds(folder, train100[0]) || holds(folder, test100[0])) return 100;
  return 0;
}

static pl_status open_file(pl_cifar *c, const char *folder, const char *name) {
  cifar_file *file = &c->files[c->file_count];
  int record_bytes = c->label_bytes + IMAGE_BYTES;
  struct stat info;
  PL_TRY(pl_path_join(folder, name, file->path));
  file->fd = open(file->path, O_RDONLY | O_CLOEXEC);
  if (file->fd < 0) return PL_FAIL(PL_E_DATA, "cannot open %s: %s", file->path, strerror(errno));
  c->file_count++;
  if (fstat(file->fd, &info) != 0) {
    return PL_FAIL(PL_E_IO, "cannot look at %s: %s", file->path, strerror(errno));
  }
  if (info.st_size == 0 || info.st_size % record_bytes != 0) {
    return PL_FAIL(PL_E_DATA, "%s has %lld bytes, which is no multiple of a record's %d: cut off?",
                   file->path, (long long)info.st_size, record_bytes);
  }
  file->records = info.st_size / record_bytes;
  c->source.samples += file->records;
  return PL_OK;
}

/* One name a line; numbers stand for names that are not there. */
static pl_status name_classes(pl_cifar *c, const char *folder) {
  const char *list = c->source.classes == 10 ? "batches.meta.txt" : "fine_label_names.txt";
  char path[PL_PATH_MAX];
  char *text = NULL;
  for (int k = 0; k < c->source.classes; k++) {
    snprintf(c->names[k], NAME_MAX_BYTES, "%d", k);
    c->class_names[k] = c->names[k];
  }
  if (!holds(folder, list)) return PL_OK;
  PL_TRY(pl_path_join(folder, list, path));
  PL_TRY(pl_read_file(path, 1 << 16, &text, NULL));
  char *rest = text;
  for (int k = 0; k < c->source.classes && rest; k++) {
    const char *line = strsep(&rest, "\n");
    size_t length = strcspn(line, "\r");
    if (length > 0) snprintf(c->names[k], NAME_MAX_BYTES, "%.*s", (int)length, line);
  }
  pl_free(text);
  return PL_OK;
}

/* Planes of red, green and blue become pixels. */
static pl_status read_sample(void *context, int64_t sample, pl_sample *out) {
  pl_cifar *c = context;
  uint8_t record[LABELS_MAX + IMAGE_BYTES];
  size_t record_bytes = (size_t)c->label_bytes + IMAGE_BYTES;
  const cifar_file *file = c->files;
  int64_t place = sample;
  while (place >= file->records) place -= (file++)->records;
  PL_TRY(pl_read_at(file->fd, file->path, record, record_bytes, place * (int64_t)record_bytes));
  int label = record[c->label_bytes - 1];
  if (label >= c->source.classes) {
    return PL_FAIL(PL_E_DATA, "%s: record %lld has label %d; there are %d classes", file->path,
                   (long long)place, label, c->source.classes);
  }
  const uint8_t *planes = record + c->label_bytes;
  for (int i = 0; i < PLANE; i++) {
    for (int k = 0; k < 3; k++) c->pixels[3 * i + k] = planes[k * PLANE + i];
  }
  *out = (pl_sample){
      .image = c->pixels, .image_bytes = sizeof c->pixels, .label = label, .id = sample};
  return PL_OK;
}

pl_status pl_cifar_open(const char *folder, int classes, bool test, pl_cifar **out) {
  *out = NULL;
  pl_cifar *c = pl_alloc(1, sizeof *c);
  if (!c) return PL_E_INTERNAL;
  c->label_bytes = classes == 10 ? 1 : 2;
  c->source = (pl_source){.shard = {.storage = PL_IMAGE_PIXELS, .height = SIDE, .width = SIDE},
                          .classes = classes,
                          .class_names = c->class_names,
                          .read = read_sample,
                          .context = c};
  const char *const *names =
      classes == 10 ? (test ? test10 : train10) : (test ? test100 : train100);
  pl_status status = name_classes(c, folder);
  for (int i = 0; i < FILES_MAX && names[i] && status == PL_OK; i++) {
    status = open_file(c, folder, names[i]);
  }
  if (status != PL_OK) pl_cifar_close(&c);
  *out = c;
  return status;
}

void pl_cifar_close(pl_cifar **cifar) {
  pl_cifar *c = *cifar;
  if (!c) return;
  for (int i = 0; i < c->file_count; i++) close(c->files[i].fd);
  pl_free(c);
  *cifar = NULL;
}

const pl_source *pl_cifar_source(const pl_cifar *cifar) { return &cifar->source; }
