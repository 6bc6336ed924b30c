#include "launch/pack/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"

/* The largest image that decode.h admits has 768 MiB of pixels. */
static const int64_t FILE_BYTES_MAX = (int64_t)1 << 30;

pl_status pl_image_file_reserve(pl_image_file *file, const char *name, int64_t bytes) {
  if (bytes <= 0 || bytes > FILE_BYTES_MAX) {
    return PL_FAIL(PL_E_DATA, "%s has %lld bytes; that is no image", name, (long long)bytes);
  }
  file->size = (size_t)bytes;
  return pl_image_reserve_packed(&file->image, file->size);
}

static pl_status read_open(pl_image_file *file, int fd, const char *path) {
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return PL_FAIL(PL_E_IO, "cannot look at %s: %s", path, strerror(errno));
  }
  if (!S_ISREG(info.st_mode)) return PL_FAIL(PL_E_DATA, "%s is no file", path);
  PL_TRY(pl_image_file_reserve(file, path, info.st_size));
  return pl_read_at(fd, path, file->image.packed, file->size, 0);
}

pl_status pl_image_file_read(pl_image_file *file, const char *folder, const char *name) {
  char path[PL_PATH_MAX];
  PL_TRY(pl_path_join(folder, name, path));
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return PL_FAIL(PL_E_DATA, "cannot open %s: %s", path, strerror(errno));
  pl_status status = read_open(file, fd, path);
  close(fd);
  return status;
}

pl_status pl_image_file_resize(pl_image_file *file, int side) {
  const pl_augment_options options = {.size = side,
                                      .interpolation = PL_BICUBIC,
                                      .centre_ratio = 1,
                                      .mean = {0, 0, 0},
                                      .std = {1, 1, 1}};
  size_t values = (size_t)side * (size_t)side * 3;
  pl_view_params params;
  if (file->view_side != side) {
    pl_free(file->view);
    file->view_side = 0;
    file->view = pl_alloc(values, sizeof *file->view);
    if (!file->view) return PL_E_INTERNAL;
    file->view_side = side;
  }
  pl_augment_centre(&options, file->image.width, file->image.height, &params);
  PL_TRY(pl_augment_apply(&options, &params, &file->image, &file->scratch, file->view));
  PL_TRY(pl_image_resize(&file->image, side, side));
  for (size_t i = 0; i < values; i++) {
    file->image.pixels[i] = (uint8_t)lrintf(fminf(fmaxf(file->view[i], 0), 1) * 255);
  }
  return PL_OK;
}

void pl_image_file_free(pl_image_file *file) {
  pl_image_free(&file->image);
  pl_augment_scratch_free(&file->scratch);
  pl_free(file->view);
  *file = (pl_image_file){0};
}
