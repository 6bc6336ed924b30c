/* A plain matrix product on a device, by the library alone, which rates are held against. */
#ifndef LAUNCH_BENCH_DEVICE_PRODUCT_H
#define LAUNCH_BENCH_DEVICE_PRODUCT_H

#include "runtime/cuda/product.h"
#include "runtime/tensor/device.h"

/* (side, side) times the transpose of (side, side), into f32. */
typedef struct pl_device_product {
  const pl_device *device;
  int side;
  pl_product *product;
  void *left, *right, *out, *scratch;
} pl_device_product;

/* To be freed also after a failure. tf32: as in pl_product_spec. */
pl_status pl_device_product_make(const pl_device *device, pl_dtype type, bool tf32, int side,
                                 pl_device_product *p);
/* Waits for the last product; adds the operations to *flops. */
pl_status pl_device_product_run(pl_device_product *p, int64_t times, double *flops);
void pl_device_product_free(pl_device_product *p);

#endif
