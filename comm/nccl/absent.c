/* Stands for NCCL in a build without it. */
#include "comm/nccl/nccl.h"

const pl_link_backend *pl_nccl_link(void) { return NULL; }
