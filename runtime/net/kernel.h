/* Kernels as backends make them (cpu, cuda): each kind of operation is a class, whose functions the
 * backend's table reaches through these. */
#ifndef PL_NET_KERNEL_H
#define PL_NET_KERNEL_H

#include "runtime/net/backend.h"

/* What a kind of kernel can do; entries that do not apply are NULL. Meanings as in pl_backend. */
typedef struct pl_kernel_class {
  void (*destroy)(pl_kernel *kernel);
  pl_status (*load)(pl_kernel *kernel, const void *image, const float *buffers);
  pl_status (*forward)(pl_kernel *kernel, const pl_kernel_args *args);
  pl_status (*backward)(pl_kernel *kernel, const pl_kernel_args *args);
  pl_status (*forward_sums)(pl_kernel *kernel, const pl_kernel_args *args, double *sums);
  pl_status (*forward_apply)(pl_kernel *kernel, const pl_kernel_args *args, const double *totals,
                             double count);
  pl_status (*backward_sums)(pl_kernel *kernel, const pl_kernel_args *args, double *sums);
  pl_status (*backward_apply)(pl_kernel *kernel, const pl_kernel_args *args, const double *totals,
                              double count);
} pl_kernel_class;

/* The head of every kernel; the struct of each kind starts with it. */
struct pl_kernel {
  const pl_kernel_class *class;
};

/* One operation kind: `supports` and `prepare` as in pl_backend. */
typedef struct pl_kernel_maker {
  const char *(*supports)(const pl_kernel_spec *spec);
  pl_status (*prepare)(const pl_kernel_spec *spec, pl_kernel **out, pl_kernel_needs *needs);
} pl_kernel_maker;

/* A backend's `supports` and `prepare` by the maker of the operation's kind; NULL: it has none. */
const char *pl_kernel_supports(const pl_kernel_maker *maker, const pl_kernel_spec *spec);
pl_status pl_kernel_prepare(const pl_kernel_maker *maker, const pl_kernel_spec *spec,
                            pl_kernel **out, pl_kernel_needs *needs);

/* Entries of a backend's table: by the kernel's class. */
void pl_kernel_destroy(pl_kernel **kernel);
pl_status pl_kernel_load(pl_kernel *kernel, const void *image, const float *buffers);
pl_status pl_kernel_forward(pl_kernel *kernel, const pl_kernel_args *args);
pl_status pl_kernel_backward(pl_kernel *kernel, const pl_kernel_args *args);
pl_status pl_kernel_forward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums);
pl_status pl_kernel_forward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                  const double *totals, double count);
pl_status pl_kernel_backward_sums(pl_kernel *kernel, const pl_kernel_args *args, double *sums);
pl_status pl_kernel_backward_apply(pl_kernel *kernel, const pl_kernel_args *args,
                                   const double *totals, double count);

/* For kernels of plain memory, for those that read no parameters, and for those that keep the type
 * of their input. */
void pl_kernel_free(pl_kernel *kernel);
pl_status pl_kernel_load_nothing(pl_kernel *kernel, const void *image, const float *buffers);
const char *pl_kernel_same_type(const pl_kernel_spec *spec);

/* Where a parameter stands in the compute image. */
static inline const void *pl_kernel_param(const pl_space *space, int param, const void *image) {
  return (const char *)image + pl_space_param(space, param)->image_offset;
}

#endif
