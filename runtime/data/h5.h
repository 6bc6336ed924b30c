/* What readers and writers of shards share of HDF5. Inside runtime/data only. */
#ifndef PL_DATA_H5_H
#define PL_DATA_H5_H

#include <hdf5.h>

#include "runtime/base/status.h"

/* Arrays are found through HDF5 and then read and written at their file offsets, as they lie. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shards hold little-endian arrays, which this program reads in place"
#endif

/* Stops HDF5 from printing its errors; they come through pl_status. HDF5 keeps this per thread, so
 * whoever is about to use it calls this first. */
void pl_h5_quiet(void);

/* File access properties for shards: no locks (Lustre and NFS often have none), one format whatever
 * the library's version, large arrays at page starts. Negative on failure; H5Pclose when done. */
hid_t pl_h5_file_access(void);

/* PL_FAIL with "path: what" and HDF5's own words for the innermost cause. */
pl_status pl_h5_fail(pl_status code, const char *path, const char *what);

#endif
