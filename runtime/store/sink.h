/* Inside of runtime/store: an HDF5 file driver that writes to a descriptor and keeps the first
 * error for its owner instead of telling HDF5.
 *
 * A file that HDF5's own driver fails to flush (disk full) can't be closed: it stays in the
 * library's tables, holds its descriptor and with it the room on the disk, and the library's exit
 * handler crashes on it. With this driver HDF5 always closes in good order, and the owner then
 * finds the error, as the system named it, in the sink. */
#ifndef PL_STORE_SINK_H
#define PL_STORE_SINK_H

#include <hdf5.h>

typedef struct pl_sink {
  int fd;    /* open for reading and writing, empty; stays the owner's */
  int error; /* the first errno, or 0 */
} pl_sink;

/* File access by which H5Fcreate, with any name, writes into the sink, which must outlive the file.
 * The caller closes it with H5Pclose. Negative on failure. */
hid_t pl_sink_access(pl_sink *sink);

#endif
