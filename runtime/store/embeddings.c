#include "runtime/store/embeddings.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/store/sink.h"

/* Arrays that are large begin at pages, for readers that map the file. */
enum { ALIGN_FROM_BYTES = 64 * 1024, ALIGN_TO_BYTES = 4096 };

/* Room is made at once, so that arrays have a place in the file before a byte is written, and
 * nothing fills it. */
static hid_t array_properties(void) {
  hid_t stored = H5Pcreate(H5P_DATASET_CREATE);
  if (stored < 0) return stored;
  if (H5Pset_layout(stored, H5D_CONTIGUOUS) < 0 ||
      H5Pset_alloc_time(stored, H5D_ALLOC_TIME_EARLY) < 0 ||
      H5Pset_fill_time(stored, H5D_FILL_TIME_NEVER) < 0 ||
      H5Pset_obj_track_times(stored, false) < 0) {
    H5Pclose(stored);
    return H5I_INVALID_HID;
  }
  return stored;
}

static bool add_array(hid_t file, hid_t stored, const char *name, hid_t type, int rank,
                      const hsize_t *dims, int64_t *at) {
  hid_t array = H5I_INVALID_HID;
  haddr_t address = HADDR_UNDEF;
  hid_t space = H5Screate_simple(rank, dims, NULL);
  if (space >= 0) array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, stored, H5P_DEFAULT);
  if (array >= 0) {
    address = H5Dget_offset(array);
    H5Dclose(array);
  }
  if (space >= 0) H5Sclose(space);
  *at = (int64_t)address;
  return address != HADDR_UNDEF;
}

static bool add_arrays(hid_t file, const pl_embeddings_facts *facts, pl_embeddings_layout *layout) {
  const hsize_t dims[] = {(hsize_t)facts->samples, (hsize_t)facts->width};
  hid_t stored = array_properties();
  bool done = stored >= 0 &&
              add_array(file, stored, "id", H5T_STD_I64LE, 1, dims, &layout->ids_at) &&
              add_array(file, stored, "label", H5T_STD_I32LE, 1, dims, &layout->labels_at) &&
              add_array(file, stored, "embedding", H5T_IEEE_F32LE, 2, dims, &layout->values_at);
  if (stored >= 0) H5Pclose(stored);
  return done;
}

static bool add_attribute(hid_t file, const char *name, hid_t stored, hid_t memory,
                          const void *value) {
  hid_t attribute = H5I_INVALID_HID;
  hid_t space = H5Screate(H5S_SCALAR);
  if (space >= 0) attribute = H5Acreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
  bool done = attribute >= 0 && H5Awrite(attribute, memory, value) >= 0;
  if (attribute >= 0) H5Aclose(attribute);
  if (space >= 0) H5Sclose(space);
  return done;
}

static bool add_text(hid_t file, const char *name, const char *text) {
  hid_t type = H5Tcopy(H5T_C_S1);
  bool done = type >= 0 && H5Tset_size(type, strlen(text) + 1) >= 0 &&
              add_attribute(file, name, type, type, text);
  if (type >= 0) H5Tclose(type);
  return done;
}

static hid_t create_file(const char *path, pl_sink *sink) {
  hid_t file = H5I_INVALID_HID;
  hid_t access = pl_sink_access(sink);
  hid_t root = H5Pcreate(H5P_FILE_CREATE);
  if (access >= 0 && root >= 0 && H5Pset_obj_track_times(root, false) >= 0 &&
      H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V110) >= 0 &&
      H5Pset_alignment(access, ALIGN_FROM_BYTES, ALIGN_TO_BYTES) >= 0) {
    file = H5Fcreate(path, H5F_ACC_TRUNC, root, access);
  }
  if (access >= 0) H5Pclose(access);
  if (root >= 0) H5Pclose(root);
  return file;
}

/* Through the sink HDF5 sees no failure of the system: whatever fails here is its own. */
static pl_status lay_out(const char *path, pl_sink *sink, const pl_embeddings_facts *facts,
                         pl_embeddings_layout *layout) {
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  hid_t file = create_file(path, sink);
  bool done = file >= 0 && add_text(file, "dataset", facts->dataset) &&
              add_text(file, "state", facts->state) && add_text(file, "weights", facts->weights) &&
              add_text(file, "build", facts->build) &&
              add_attribute(file, "step", H5T_STD_I64LE, H5T_NATIVE_INT64, &facts->step) &&
              add_arrays(file, facts, layout);
  if (file >= 0 && H5Fclose(file) < 0) done = false;
  return done ? PL_OK : PL_FAIL(PL_E_INTERNAL, "%s cannot be laid out as HDF5", path);
}

/* Gives the file blocks of the disk for all that it is long. */
static void reserve(pl_sink *sink, pl_embeddings_layout *layout) {
  struct stat info = {0};
  if (sink->error == 0 && fstat(sink->fd, &info) != 0) sink->error = errno;
  layout->bytes = info.st_size;
  if (sink->error != 0 || fallocate(sink->fd, 0, 0, info.st_size) == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS) sink->error = errno;
}

pl_status pl_embeddings_create(const char *path, const pl_embeddings_facts *facts,
                               pl_embeddings_layout *layout) {
  *layout = (pl_embeddings_layout){0};
  pl_sink sink = {.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (sink.fd < 0) return PL_FAIL(PL_E_IO, "cannot create %s: %s", path, strerror(errno));
  pl_status status = lay_out(path, &sink, facts, layout);
  if (status == PL_OK) reserve(&sink, layout);
  if (close(sink.fd) != 0 && sink.error == 0) sink.error = errno;
  /* where the system failed, that is the cause, whatever HDF5 made of it */
  if (sink.error != 0) {
    status = PL_FAIL(PL_E_IO, "cannot make %s (%lld samples of %d numbers): %s", path,
                     (long long)facts->samples, facts->width, strerror(sink.error));
  }
  if (status != PL_OK) unlink(path);
  return status;
}
