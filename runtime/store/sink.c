#include "runtime/store/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* HDF5 knows the file by the first member. */
typedef struct sink_file {
  H5FD_t head;
  pl_sink *sink;
  haddr_t allocated, end;
} sink_file;

/* The driver's setting in a file access list: a pointer to the sink, copied as it is. */
static H5FD_t *sink_open(const char *name, unsigned flags, hid_t access, haddr_t largest) {
  (void)name;
  (void)flags;
  (void)largest;
  pl_sink *const *sink = H5Pget_driver_info(access);
  sink_file *file = sink ? calloc(1, sizeof *file) : NULL;
  if (!file) return NULL;
  file->sink = *sink;
  return &file->head;
}

static herr_t sink_close(H5FD_t *file) {
  free(file);
  return 0;
}

static haddr_t sink_allocated(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const sink_file *)file)->allocated;
}

static herr_t sink_allocate(H5FD_t *file, H5FD_mem_t type, haddr_t address) {
  (void)type;
  ((sink_file *)file)->allocated = address;
  return 0;
}

static haddr_t sink_end(const H5FD_t *file, H5FD_mem_t type) {
  (void)type;
  return ((const sink_file *)file)->end;
}

/* Bytes never written, or lost to an error, are zero. */
static herr_t sink_read(H5FD_t *head, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size,
                        void *into) {
  (void)type;
  (void)transfer;
  const sink_file *file = (const sink_file *)head;
  char *to = into;
  while (size > 0) {
    ssize_t got = pread(file->sink->fd, to, size, (off_t)address);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && file->sink->error == 0) file->sink->error = errno;
    if (got <= 0) break;
    to += got;
    address += (haddr_t)got;
    size -= (size_t)got;
  }
  memset(to, 0, size);
  return 0;
}

/* Bytes after which the disk is set to work, while more are copied into the system's memory. */
enum { WRITE_BACK = 8 << 20 };

static herr_t sink_write(H5FD_t *head, H5FD_mem_t type, hid_t transfer, haddr_t address,
                         size_t size, const void *data) {
  (void)type;
  (void)transfer;
  sink_file *file = (sink_file *)head;
  if (address + size > file->end) file->end = address + size;
  const char *from = data;
  while (size > 0 && file->sink->error == 0) {
    size_t piece = size < WRITE_BACK ? size : WRITE_BACK;
    ssize_t put = pwrite(file->sink->fd, from, piece, (off_t)address);
    if (put < 0 && errno != EINTR) file->sink->error = errno;
    if (put < 0) continue;
    /* A wish: where it can't be met, or fails, fsync does all of it and tells. */
    if (put == WRITE_BACK) {
      sync_file_range(file->sink->fd, (off_t)address, put, SYNC_FILE_RANGE_WRITE);
    }
    from += put;
    address += (haddr_t)put;
    size -= (size_t)put;
  }
  return 0;
}

/* Makes the file as long as what was allocated in it. */
static herr_t sink_truncate(H5FD_t *head, hid_t transfer, hbool_t closing) {
  (void)transfer;
  (void)closing;
  sink_file *file = (sink_file *)head;
  if (file->end != file->allocated && file->sink->error == 0 &&
      ftruncate(file->sink->fd, (off_t)file->allocated) != 0) {
    file->sink->error = errno;
  }
  file->end = file->allocated;
  return 0;
}

static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION /* since HDF5 1.14 */
    .version = H5FD_CLASS_VERSION,
    .value = H5_VFD_RESERVED,
#endif
    .name = "plenum_sink",
    .maxaddr = ((haddr_t)1 << 62) - 1,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(pl_sink *),
    .open = sink_open,
    .close = sink_close,
    .get_eoa = sink_allocated,
    .set_eoa = sink_allocate,
    .get_eof = sink_end,
    .read = sink_read,
    .write = sink_write,
    .truncate = sink_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t pl_sink_access(pl_sink *sink) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS);
  hid_t registered = H5FDregister(&driver);
  if (access >= 0 && (registered < 0 || H5Pset_driver(access, registered, &sink) < 0)) {
    H5Pclose(access);
    access = H5I_INVALID_HID;
  }
  if (registered >= 0) H5FDunregister(registered); /* the access list holds it */
  return access;
}
