/* What the files that call oneDNN share; private to onednn*.c. */
#ifndef PL_CPU_ONEDNN_CALLS_H
#define PL_CPU_ONEDNN_CALLS_H

#include <dnnl.h>

#include "runtime/base/status.h"
#include "runtime/tensor/dtype.h"

#if DNNL_VERSION_MAJOR != 2
#error "written for oneDNN 2; version 3 makes primitive descriptors without operation descriptors"
#endif

/* Turns a oneDNN status into ours. */
pl_status pl_dnn_checked(dnnl_status_t status, const char *what);

dnnl_data_type_t pl_dnn_data_type(pl_dtype type);

/* oneDNN's handles are not const; its primitives only read from sources. */
pl_status pl_dnn_point(dnnl_memory_t memory, const void *data);

#endif
