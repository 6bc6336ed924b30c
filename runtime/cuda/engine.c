#include "runtime/cuda/engine.h"

#include "runtime/base/log.h"

/* Of a network's many the first is told aloud, the others only where all is logged. */
void pl_no_convolution(const pl_convolution_spec *spec, const char *direction, const char *answer) {
  static bool told;
  pl_log(
      told ? PL_LOG_DEBUG : PL_LOG_INFO,
      "this cuDNN has no engine for %s of a convolution of %s, %d x %d x %d channels to %d, kernel "
      "%d, stride %d, that adds in a fixed order (%s); matrix products of its windows are slower",
      direction, pl_dtype_name(spec->type), spec->in.height, spec->in.width, spec->in.channels,
      spec->out.channels, spec->window.kernel, spec->window.stride, answer);
  told = true;
}

pl_status pl_no_product(const pl_product_spec *spec) {
  return PL_FAIL(PL_E_INTERNAL,
                 "this cuBLASLt has no product of %s (%d, %d) · (%d, %d) that adds in a fixed "
                 "order; use a newer cuBLAS or the processor (cpu)",
                 pl_dtype_name(spec->type), spec->rows, spec->inner, spec->inner, spec->cols);
}
