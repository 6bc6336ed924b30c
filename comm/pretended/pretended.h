/* The backend of ranks that are not there: one of as many as one likes, for planning. Every
 * other rank is taken to say what this one says, and what it would send never comes: buffers for it
 * are left as they are. */
#ifndef COMM_PRETENDED_PRETENDED_H
#define COMM_PRETENDED_PRETENDED_H

#include "comm/backend.h"

extern const pl_backend pl_pretended_backend;   /* its state is the pl_comm's place */
extern const pl_link_backend pl_pretended_link; /* nothing passes through it */

#endif
