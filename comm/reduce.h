/* Gradients into slices, parameters out of slices: the two large exchanges of a step.
 *
 * reduce: each rank holds the gradient vector summed over its leaves; bucket after bucket, as soon
 * as it is complete, its pieces go to the ranks that own them (all-to-all: the bytes of a ring) and
 * are added there in the shape of the tree over ranks. gather: each rank's new values go to
 * everybody's compute image.
 *
 * Both ends lie in memory of one device. Where that is not the host's, bytes go by a link, if there
 * is one (comm/link.h), or by pinned memory of the host, beside the device's work; those of one
 * rank alone go nowhere. */
#ifndef COMM_REDUCE_H
#define COMM_REDUCE_H

#include "comm/comm.h"
#include "runtime/tensor/device.h"
#include "runtime/tensor/space.h"

typedef struct pl_grad_reduce pl_grad_reduce;

/* What is pointed to must outlive it. Memory with several ranks: the slice's sum, and on the host
 * the pieces received for all buckets, about one more vector of the space's size; where the device
 * is another, one of that size and one of the slice's more there. By a link, all that is received
 * lies on the device, and nothing on the host. Not collective. */
pl_status pl_grad_reduce_create(pl_comm *comm, const pl_device *device, const pl_space *space,
                                const pl_slice *slice, pl_grad_reduce **out);
void pl_grad_reduce_destroy(pl_grad_reduce **reduce);

/* Says that parameter `param` is complete in `gradient` (the vector of totals, pl_space_elements
 * floats, untouched until finish): the bucket starts with its last parameter. Every rank must
 * complete parameters in the same order, between the same calls to comm. Also moves exchanges under
 * way. Collective as a whole. */
pl_status pl_grad_reduce_ready(pl_grad_reduce *reduce, float *gradient, int param);

/* Waits for all buckets and gives the summed gradient of the owned blocks (slice->blocks * PL_BLOCK
 * floats): with one rank the vector of totals itself. It is the caller's to change until the next
 * parameter is ready. All parameters must have been completed. Collective. */
pl_status pl_grad_reduce_finish(pl_grad_reduce *reduce, float **slice_gradient);

/* Milliseconds spent waiting in the last finish, and bytes sent by this rank for the last step. */
double pl_grad_reduce_wait_ms(const pl_grad_reduce *reduce);
size_t pl_grad_reduce_sent_bytes(const pl_grad_reduce *reduce);

typedef struct pl_image_gather pl_image_gather;

/* What is pointed to must outlive it. Memory: an image on the host where several ranks compute on
 * another device and have no link. Not collective. */
pl_status pl_image_gather_create(pl_comm *comm, const pl_device *device, const pl_space *space,
                                 const pl_slice *slice, pl_image_gather **out);
void pl_image_gather_destroy(pl_image_gather **gather);

/* Converts this rank's master values (slice->blocks * PL_BLOCK floats) to compute types and gathers
 * everybody's into `image` (pl_space_image_bytes). Collective. */
pl_status pl_image_gather_run(pl_image_gather *gather, const float *master, void *image);

/* xxHash128 over the hashes of all blocks of a sliced vector (values: slice->blocks * PL_BLOCK
 * floats on the host), in block order: the same whatever the cut. Collective. */
pl_status pl_slice_hash(pl_comm *comm, const pl_space *space, const pl_slice *slice,
                        const float *values, uint64_t hash[2]);

/* Bytes that this rank sends in pl_image_gather. Not collective. */
size_t pl_image_gather_sent_bytes(const pl_space *space, const pl_slice *slice);

#endif
