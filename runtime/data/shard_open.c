/* Opening a shard. Nothing in the file is trusted: an array is used only if it is of the right
 * type and shape, stored in one piece, and inside the file. HDF5 only says where arrays lie; they
 * are read with pread, which keeps a hostile file away from most of HDF5's code. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/memory.h"
#include "runtime/data/h5.h"
#include "runtime/data/shard.h"

enum { RANK_MAX = 4 };
static const hsize_t ANY = (hsize_t)-1;

/* What an array must look like; `dims` may hold ANY, which is replaced by what was found. */
typedef struct array {
  const char *group, *name; /* full names; group NULL at the root */
  hid_t type;
  size_t element_bytes;
  int rank;
  hsize_t dims[RANK_MAX];
  int64_t at, bytes; /* found: place in the file */
} array;

/* A link may lead to another file; only those that name an object of this one are followed. */
static bool is_own_object(hid_t file, const char *name) {
  H5L_info_t info;
  return H5Lexists(file, name, H5P_DEFAULT) > 0 &&
         H5Lget_info(file, name, &info, H5P_DEFAULT) >= 0 && info.type == H5L_TYPE_HARD;
}

/* One piece in this very file, unfiltered. */
static bool is_plain_storage(hid_t dataset) {
  hid_t properties = H5Dget_create_plist(dataset);
  if (properties < 0) return false;
  bool plain = H5Pget_layout(properties) == H5D_CONTIGUOUS &&
               H5Pget_external_count(properties) == 0 && H5Pget_nfilters(properties) == 0;
  H5Pclose(properties);
  return plain;
}

static bool has_type(hid_t dataset, hid_t expected) {
  hid_t type = H5Dget_type(dataset);
  if (type < 0) return false;
  bool same = H5Tequal(type, expected) > 0;
  H5Tclose(type);
  return same;
}

/* Compares the shape and fills in dimensions that may be anything. */
static bool has_shape(hid_t dataset, array *a) {
  hsize_t dims[RANK_MAX];
  hid_t space = H5Dget_space(dataset);
  if (space < 0) return false;
  bool same = H5Sget_simple_extent_type(space) == H5S_SIMPLE &&
              H5Sget_simple_extent_ndims(space) == a->rank &&
              H5Sget_simple_extent_dims(space, dims, NULL) == a->rank;
  H5Sclose(space);
  for (int i = 0; same && i < a->rank; i++) {
    if (a->dims[i] == ANY) a->dims[i] = dims[i];
    same = dims[i] == a->dims[i];
  }
  return same;
}

/* Size and place; the multiplication cannot overflow past the file's size unnoticed. */
static pl_status find_extent(const pl_shard *shard, hid_t dataset, array *a) {
  uint64_t elements = 1;
  for (int i = 0; i < a->rank; i++) {
    if (a->dims[i] != 0 && elements > (uint64_t)shard->bytes / a->dims[i]) {
      return PL_FAIL(PL_E_DATA, "%s: %s is larger than the file", shard->path, a->name);
    }
    elements *= a->dims[i];
  }
  uint64_t bytes = elements * a->element_bytes;
  a->at = 0;
  a->bytes = (int64_t)bytes;
  if (bytes == 0) return PL_OK;
  haddr_t at = H5Dget_offset(dataset);
  if (at == HADDR_UNDEF || bytes > (uint64_t)shard->bytes || at > (uint64_t)shard->bytes - bytes ||
      H5Dget_storage_size(dataset) < bytes) {
    return PL_FAIL(PL_E_DATA, "%s: %s lies outside of the file", shard->path, a->name);
  }
  a->at = (int64_t)at;
  return PL_OK;
}

static pl_status check_array(const pl_shard *shard, hid_t dataset, array *a) {
  if (!is_plain_storage(dataset)) {
    return PL_FAIL(PL_E_DATA, "%s: %s is not stored in one uncompressed piece of this file",
                   shard->path, a->name);
  }
  if (!has_type(dataset, a->type)) {
    return PL_FAIL(PL_E_DATA, "%s: %s holds elements of the wrong type", shard->path, a->name);
  }
  if (!has_shape(dataset, a)) {
    return PL_FAIL(PL_E_DATA, "%s: the shape of %s does not fit %s (%lld samples, %lld captions)",
                   shard->path, a->name, PL_DATASET_MANIFEST, (long long)shard->samples,
                   (long long)shard->captions);
  }
  return find_extent(shard, dataset, a);
}

static pl_status find_array(const pl_shard *shard, hid_t file, array *a) {
  if ((a->group && !is_own_object(file, a->group)) || !is_own_object(file, a->name)) {
    return PL_FAIL(PL_E_DATA, "%s: there is no %s", shard->path, a->name);
  }
  hid_t dataset = H5Dopen2(file, a->name, H5P_DEFAULT);
  if (dataset < 0) return pl_h5_fail(PL_E_DATA, shard->path, a->name);
  pl_status status = check_array(shard, dataset, a);
  H5Dclose(dataset);
  return status;
}

/* Reads a whole one-dimensional array into a block that `into` then owns. */
static pl_status read_array(const pl_shard *shard, hid_t file, array a, void **into) {
  PL_TRY(find_array(shard, file, &a));
  *into = pl_alloc((size_t)a.bytes, 1);
  if (!*into) return PL_E_INTERNAL;
  return pl_read_at(shard->fd, shard->path, *into, (size_t)a.bytes, a.at);
}

static pl_status read_int64s(const pl_shard *shard, hid_t file, const char *group, const char *name,
                             int64_t count, int64_t **into) {
  array a = {group, name, H5T_STD_I64LE, sizeof(int64_t), 1, {(hsize_t)count}, 0, 0};
  void *block = NULL;
  pl_status status = read_array(shard, file, a, &block);
  *into = block;
  return status;
}

static pl_status read_uint32s(const pl_shard *shard, hid_t file, const char *group,
                              const char *name, int64_t count, uint32_t **into) {
  array a = {group, name, H5T_STD_U32LE, sizeof(uint32_t), 1, {(hsize_t)count}, 0, 0};
  void *block = NULL;
  pl_status status = read_array(shard, file, a, &block);
  *into = block;
  return status;
}

/* Offsets start at 0, step by at least `least` and end at `total`. */
static pl_status check_offsets(const pl_shard *shard, const char *name, const int64_t *offset,
                               int64_t count, int64_t least, int64_t total) {
  if (offset[0] != 0 || offset[count] != total) {
    return PL_FAIL(PL_E_DATA, "%s: %s runs from %lld to %lld instead of from 0 to %lld",
                   shard->path, name, (long long)offset[0], (long long)offset[count],
                   (long long)total);
  }
  for (int64_t i = 0; i < count; i++) {
    if (offset[i + 1] > total || offset[i + 1] < offset[i] || offset[i + 1] - offset[i] < least) {
      return PL_FAIL(PL_E_DATA, "%s: %s goes from %lld to %lld at entry %lld of %lld", shard->path,
                     name, (long long)offset[i], (long long)offset[i + 1], (long long)i,
                     (long long)count);
    }
  }
  return PL_OK;
}

static pl_status read_labels(pl_shard *shard, hid_t file, int classes) {
  array a = {NULL, "/label", H5T_STD_I32LE, sizeof(int32_t), 1, {(hsize_t)shard->samples}, 0, 0};
  void *block = NULL;
  pl_status status = read_array(shard, file, a, &block);
  shard->label = block;
  PL_TRY(status);
  for (int64_t i = 0; i < shard->samples; i++) {
    if (shard->label[i] < -1 || shard->label[i] >= classes) {
      return PL_FAIL(PL_E_DATA, "%s: sample %lld has label %d; there are %d classes", shard->path,
                     (long long)i, shard->label[i], classes);
    }
  }
  return PL_OK;
}

static pl_status read_ids(pl_shard *shard, hid_t file) {
  PL_TRY(read_int64s(shard, file, NULL, "/id", shard->samples, &shard->id));
  for (int64_t i = 1; i < shard->samples; i++) {
    if (shard->id[i] <= shard->id[i - 1]) {
      return PL_FAIL(PL_E_DATA, "%s: /id does not ascend at sample %lld", shard->path,
                     (long long)i);
    }
  }
  return PL_OK;
}

static pl_status find_images(pl_shard *shard, hid_t file) {
  if (shard->storage == PL_IMAGE_PIXELS) {
    array pixels = {"/image",
                    "/image/pixels",
                    H5T_STD_U8LE,
                    1,
                    4,
                    {(hsize_t)shard->samples, (hsize_t)shard->height, (hsize_t)shard->width, 3},
                    0,
                    0};
    PL_TRY(find_array(shard, file, &pixels));
    shard->image_at = pixels.at;
    return PL_OK;
  }
  array bytes = {"/image", "/image/bytes", H5T_STD_U8LE, 1, 1, {ANY}, 0, 0};
  PL_TRY(find_array(shard, file, &bytes));
  shard->image_at = bytes.at;
  PL_TRY(read_int64s(shard, file, "/image", "/image/offset", shard->samples + 1,
                     &shard->image_offset));
  return check_offsets(shard, "/image/offset", shard->image_offset, shard->samples, 1, bytes.bytes);
}

static pl_status find_captions(pl_shard *shard, hid_t file) {
  array bytes = {"/text", "/text/bytes", H5T_STD_U8LE, 1, 1, {ANY}, 0, 0};
  PL_TRY(find_array(shard, file, &bytes));
  shard->text_at = bytes.at;
  PL_TRY(
      read_int64s(shard, file, "/text", "/text/offset", shard->captions + 1, &shard->text_offset));
  PL_TRY(check_offsets(shard, "/text/offset", shard->text_offset, shard->captions, 0, bytes.bytes));
  PL_TRY(read_int64s(shard, file, "/text", "/text/first", shard->samples + 1, &shard->text_first));
  PL_TRY(
      check_offsets(shard, "/text/first", shard->text_first, shard->samples, 0, shard->captions));
  return read_uint32s(shard, file, "/text", "/text/crc", shard->captions, &shard->text_crc);
}

static pl_status read_index(pl_shard *shard, const pl_dataset_info *info) {
  pl_status status = PL_OK;
  hid_t file = -1;
  pl_h5_quiet();
  hid_t access = pl_h5_file_access();
  if (access < 0) return pl_h5_fail(PL_E_INTERNAL, shard->path, "no access properties");
  file = H5Fopen(shard->path, H5F_ACC_RDONLY, access);
  if (file < 0) {
    status = pl_h5_fail(PL_E_DATA, shard->path, "not a readable HDF5 file");
    goto done;
  }
  PL_TRY_OR(done, status, read_labels(shard, file, info->classes));
  PL_TRY_OR(done, status, read_ids(shard, file));
  PL_TRY_OR(done, status,
            read_uint32s(shard, file, NULL, "/crc", shard->samples, &shard->image_crc));
  PL_TRY_OR(done, status, find_images(shard, file));
  if (info->captions > 0) PL_TRY_OR(done, status, find_captions(shard, file));
done:
  if (file >= 0) H5Fclose(file);
  H5Pclose(access);
  return status;
}

/* Opens the file and compares its size with the manifest's, so that a cut one is called that. */
static pl_status open_file(pl_shard *shard, const pl_shard_record *record) {
  struct stat info;
  shard->fd = open(shard->path, O_RDONLY | O_CLOEXEC);
  if (shard->fd < 0 && errno == EMFILE) {
    return PL_FAIL(PL_E_IO, "cannot open %s: %s; each shard takes one file, see ulimit -n",
                   shard->path, strerror(errno));
  }
  if (shard->fd < 0) {
    return PL_FAIL(errno == ENOENT ? PL_E_DATA : PL_E_IO, "cannot open shard %s: %s", shard->path,
                   strerror(errno));
  }
  if (fstat(shard->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return PL_FAIL(PL_E_DATA, "shard %s is not a regular file", shard->path);
  }
  if (info.st_size != record->bytes) {
    return PL_FAIL(PL_E_DATA, "shard %s has %lld bytes where %s says %lld: cut off or replaced",
                   shard->path, (long long)info.st_size, PL_DATASET_MANIFEST,
                   (long long)record->bytes);
  }
  shard->bytes = record->bytes;
  return PL_OK;
}

pl_status pl_shard_open(const pl_dataset_manifest *manifest, int index, pl_shard *shard) {
  const pl_shard_record *record = &manifest->shards[index];
  const pl_dataset_info *info = &manifest->info;
  *shard = (pl_shard){.fd = -1,
                      .samples = record->samples,
                      .captions = record->captions,
                      .storage = info->storage,
                      .height = info->height,
                      .width = info->width};
  PL_TRY(pl_path_join(manifest->folder, record->name, shard->path));
  pl_status status = open_file(shard, record);
  if (status == PL_OK) status = read_index(shard, info);
  if (status != PL_OK) pl_shard_close(shard);
  return status;
}

void pl_shard_close(pl_shard *shard) {
  if (shard->fd >= 0) close(shard->fd);
  pl_free(shard->image_offset);
  pl_free(shard->label);
  pl_free(shard->id);
  pl_free(shard->image_crc);
  pl_free(shard->text_first);
  pl_free(shard->text_offset);
  pl_free(shard->text_crc);
  *shard = (pl_shard){.fd = -1};
}
