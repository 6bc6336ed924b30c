#include "runtime/store/part.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/filehash.h"
#include "runtime/base/memory.h"
#include "runtime/store/sink.h"

struct pl_part {
  char path[PL_PATH_MAX];
  hid_t file;
  int64_t blocks;
  int64_t *block;
};

/* Keeps the description of the innermost error, which is the nearest to its cause. */
static herr_t keep_first(unsigned n, const H5E_error2_t *error, void *into) {
  if (n == 0) snprintf(into, PL_REASON_MAX / 2, "%s", error->desc ? error->desc : "");
  return 0;
}

/* HDF5's next call forgets why the one before failed: call this before anything is closed. */
static pl_status hdf5_failed(pl_status code, const char *what, const char *path) {
  char reason[PL_REASON_MAX / 2] = "";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, reason);
  return PL_FAIL(code, "cannot %s %s: %s", what, path, reason);
}

/* HDF5's errors are reported through pl_status alone. The setting is the thread's. */
static void silence_hdf5(void) { H5Eset_auto2(H5E_DEFAULT, NULL, NULL); }

/* A dataset to be written: of `rows` rows, each of PL_BLOCK numbers or (one-dimensional) of one. */
typedef struct dataset {
  const char *name;
  int dimensions;
  int64_t rows;
  hid_t stored, memory; /* types */
  const void *values;
} dataset;

/* `path` is the file's, for messages. */
static pl_status write_dataset(const char *path, hid_t place, const dataset *data) {
  pl_status status = PL_OK;
  const hsize_t dims[] = {(hsize_t)data->rows, PL_BLOCK};
  hid_t set = H5I_INVALID_HID;
  hid_t space = H5Screate_simple(data->dimensions, dims, NULL);
  hid_t create = H5Pcreate(H5P_DATASET_CREATE);
  if (space >= 0 && create >= 0 && H5Pset_obj_track_times(create, 0) >= 0) {
    set = H5Dcreate2(place, data->name, data->stored, space, H5P_DEFAULT, create, H5P_DEFAULT);
  }
  if (set < 0 || (data->rows > 0 &&
                  H5Dwrite(set, data->memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data->values) < 0)) {
    status = hdf5_failed(PL_E_INTERNAL, "write", path);
  }
  if (set >= 0 && H5Dclose(set) < 0 && status == PL_OK) {
    status = hdf5_failed(PL_E_INTERNAL, "write", path);
  }
  if (create >= 0) H5Pclose(create);
  if (space >= 0) H5Sclose(space);
  return status;
}

/* A group of datasets of the same shape. */
static pl_status write_group(const char *path, hid_t file, const char *name,
                             const pl_checkpoint_vectors *vectors, int dimensions, int64_t rows) {
  pl_status status = PL_OK;
  hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  if (group < 0) return hdf5_failed(PL_E_INTERNAL, "write", path);
  for (int v = 0; v < vectors->count && status == PL_OK; v++) {
    const dataset data = {vectors->name[v], dimensions,       rows,
                          H5T_IEEE_F32LE,   H5T_NATIVE_FLOAT, vectors->values[v]};
    status = write_dataset(path, group, &data);
  }
  if (H5Gclose(group) < 0 && status == PL_OK) status = hdf5_failed(PL_E_INTERNAL, "write", path);
  return status;
}

/* Fails only for HDF5's own reasons; those of the system are left in the sink. */
static pl_status write_file(const char *path, pl_sink *sink, const pl_slice *slice,
                            const pl_checkpoint_vectors *vectors,
                            const pl_checkpoint_vectors *replicated, int64_t buffer_elements) {
  pl_status status;
  const dataset block = {"block", 1, slice->blocks, H5T_STD_I64LE, H5T_NATIVE_INT64, slice->block};
  hid_t access = pl_sink_access(sink);
  hid_t file = access < 0 ? access : H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
  if (file < 0) {
    status = hdf5_failed(PL_E_INTERNAL, "write", path);
    goto done;
  }
  PL_TRY_OR(done, status, write_dataset(path, file, &block));
  PL_TRY_OR(done, status, write_group(path, file, "vectors", vectors, 2, slice->blocks));
  if (replicated) {
    PL_TRY_OR(done, status, write_group(path, file, "replicated", replicated, 1, buffer_elements));
  }
done:
  if (file >= 0 && H5Fclose(file) < 0 && status == PL_OK) {
    status = hdf5_failed(PL_E_INTERNAL, "close", path);
  }
  if (access >= 0) H5Pclose(access);
  return status;
}

pl_status pl_part_measure(int fd, const char *path, pl_checkpoint_part_record *record) {
  struct stat info;
  if (fstat(fd, &info) != 0) {
    return PL_FAIL(PL_E_IO, "cannot tell the size of %s: %s", path, strerror(errno));
  }
  record->bytes = info.st_size;
  return pl_hash_file(fd, path, record->bytes, record->hash);
}

/* The disk has been at work on the file since its first bytes; it is read back from memory and
 * hashed before the wait for the disk, not after. */
static pl_status finish_file(const char *path, pl_sink *sink, pl_checkpoint_part_record *record) {
  if (sink->error == 0) PL_TRY(pl_part_measure(sink->fd, path, record));
  if (sink->error == 0 && fsync(sink->fd) != 0) sink->error = errno;
  return PL_OK;
}

pl_status pl_part_write(const char *path, const pl_slice *slice,
                        const pl_checkpoint_vectors *vectors,
                        const pl_checkpoint_vectors *replicated, int64_t buffer_elements,
                        pl_checkpoint_part_record *record) {
  silence_hdf5();
  pl_sink sink = {.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (sink.fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  pl_status status = write_file(path, &sink, slice, vectors, replicated, buffer_elements);
  if (status == PL_OK) status = finish_file(path, &sink, record);
  if (close(sink.fd) != 0 && sink.error == 0) sink.error = errno;
  /* where the system failed, that is the cause, whatever HDF5 made of it */
  if (sink.error != 0) {
    return PL_FAIL(PL_E_IO, "cannot write %s: %s", path, strerror(sink.error));
  }
  return status;
}

/* Opens a dataset of `rank` dimensions and numbers of `size` bytes, and gives its dimensions. */
static pl_status open_dataset(const pl_part *part, const char *name, int rank, H5T_class_t class,
                              size_t size, hsize_t *dims, hid_t *out) {
  pl_status status = PL_OK;
  hid_t space = H5I_INVALID_HID, type = H5I_INVALID_HID;
  *out = H5I_INVALID_HID;
  hid_t set = H5Dopen2(part->file, name, H5P_DEFAULT);
  if (set < 0) {
    return PL_FAIL(PL_E_DATA, "%s holds no dataset \"%s\"", part->path, name);
  }
  space = H5Dget_space(set);
  type = H5Dget_type(set);
  if (space < 0 || type < 0 || H5Tget_class(type) != class || H5Tget_size(type) != size ||
      H5Sget_simple_extent_ndims(space) != rank ||
      H5Sget_simple_extent_dims(space, dims, NULL) != rank) {
    status = PL_FAIL(PL_E_DATA, "the dataset \"%s\" in %s has another type or shape than a part's",
                     name, part->path);
  }
  if (type >= 0) H5Tclose(type);
  if (space >= 0) H5Sclose(space);
  if (status == PL_OK) {
    *out = set;
  } else {
    H5Dclose(set);
  }
  return status;
}

/* Reads `blocks`; a count that the file could not hold is refused before memory is asked for. */
static pl_status read_block_numbers(pl_part *part) {
  pl_status status = PL_OK;
  hsize_t count = 0, bytes = 0;
  hid_t set;
  PL_TRY(open_dataset(part, "block", 1, H5T_INTEGER, sizeof(int64_t), &count, &set));
  if (H5Fget_filesize(part->file, &bytes) < 0 || count > bytes / sizeof(int64_t)) {
    status = PL_FAIL(PL_E_DATA, "%s claims %llu blocks, more than it can hold", part->path,
                     (unsigned long long)count);
    goto done;
  }
  part->blocks = (int64_t)count;
  part->block = pl_alloc((size_t)count, sizeof *part->block);
  if (!part->block) {
    status = PL_E_INTERNAL;
    goto done;
  }
  if (count > 0 && H5Dread(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, part->block) < 0) {
    status = hdf5_failed(PL_E_DATA, "read", part->path);
  }
done:
  H5Dclose(set);
  return status;
}

pl_status pl_part_open(const char *path, pl_part **out) {
  *out = NULL;
  pl_part *part = pl_alloc(1, sizeof *part);
  if (!part) return PL_E_INTERNAL;
  snprintf(part->path, sizeof part->path, "%s", path);
  silence_hdf5();
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  bool unlocked = access >= 0 && H5Pset_file_locking(access, 0, 1) >= 0; /* many systems refuse */
  part->file = unlocked ? H5Fopen(path, H5F_ACC_RDONLY, access) : H5I_INVALID_HID;
  pl_status status = part->file < 0 ? hdf5_failed(PL_E_DATA, "open", path) : PL_OK;
  if (access >= 0) H5Pclose(access);
  if (status == PL_OK) status = read_block_numbers(part);
  if (status != PL_OK) pl_part_close(&part);
  *out = part;
  return status;
}

void pl_part_close(pl_part **part) {
  if (!*part) return;
  if ((*part)->file >= 0) H5Fclose((*part)->file);
  pl_free((*part)->block);
  pl_free(*part);
  *part = NULL;
}

int64_t pl_part_blocks(const pl_part *part) { return part->blocks; }

const int64_t *pl_part_block(const pl_part *part) { return part->block; }

static herr_t read_run(hid_t set, hid_t stored, const pl_part_run *run, float *values) {
  const hsize_t start[] = {(hsize_t)run->row, 0}, count[] = {(hsize_t)run->count, PL_BLOCK};
  if (H5Sselect_hyperslab(stored, H5S_SELECT_SET, start, NULL, count, NULL) < 0) return -1;
  hid_t memory = H5Screate_simple(2, count, NULL);
  if (memory < 0) return -1;
  herr_t result =
      H5Dread(set, H5T_NATIVE_FLOAT, memory, stored, H5P_DEFAULT, values + run->to * PL_BLOCK);
  H5Sclose(memory);
  return result;
}

pl_status pl_part_read_vector(const pl_part *part, const char *name, const pl_part_run *runs,
                              int64_t count, float *values) {
  pl_status status = PL_OK;
  char path[PL_NAME_MAX + 16];
  snprintf(path, sizeof path, "vectors/%s", name);
  hsize_t dims[2] = {0};
  hid_t set, stored = H5I_INVALID_HID;
  PL_TRY(open_dataset(part, path, 2, H5T_FLOAT, sizeof(float), dims, &set));
  if (dims[0] != (hsize_t)part->blocks || dims[1] != PL_BLOCK) {
    status = PL_FAIL(PL_E_DATA, "the dataset \"%s\" in %s has %llu x %llu elements, not %lld x %d",
                     path, part->path, (unsigned long long)dims[0], (unsigned long long)dims[1],
                     (long long)part->blocks, PL_BLOCK);
    goto done;
  }
  stored = H5Dget_space(set);
  for (int64_t r = 0; r < count; r++) {
    if (stored < 0 || read_run(set, stored, &runs[r], values) < 0) {
      status = hdf5_failed(PL_E_DATA, "read", part->path);
      goto done;
    }
  }
done:
  if (stored >= 0) H5Sclose(stored);
  H5Dclose(set);
  return status;
}

pl_status pl_part_read_replicated(const pl_part *part, const char *name, int64_t elements,
                                  float *values) {
  pl_status status = PL_OK;
  char path[PL_NAME_MAX + 16];
  snprintf(path, sizeof path, "replicated/%s", name);
  hsize_t count = 0;
  hid_t set;
  PL_TRY(open_dataset(part, path, 1, H5T_FLOAT, sizeof(float), &count, &set));
  if (count != (hsize_t)elements) {
    status = PL_FAIL(PL_E_DATA, "%s holds %llu elements of \"%s\", not %lld", part->path,
                     (unsigned long long)count, path, (long long)elements);
  } else if (count > 0 &&
             H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0) {
    status = hdf5_failed(PL_E_DATA, "read", part->path);
  }
  H5Dclose(set);
  return status;
}
