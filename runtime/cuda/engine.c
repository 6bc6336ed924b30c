#include "runtime/cuda/engine.h"

#include <stdio.h>

#include "runtime/base/log.h"

enum { CONVOLUTION_TEXT = 160 };

static void describe(const pl_convolution_spec *s, char text[CONVOLUTION_TEXT]) {
  snprintf(text, CONVOLUTION_TEXT,
           "a convolution of %s, %d x %d x %d channels to %d, kernel %d, stride %d",
           pl_dtype_name(s->type), s->in.height, s->in.width, s->in.channels, s->out.channels,
           s->window.kernel, s->window.stride);
}

void pl_note_convolution(const pl_convolution_spec *spec, const char *direction, long long engine,
                         size_t workspace_bytes) {
  char text[CONVOLUTION_TEXT];
  describe(spec, text);
  PL_DEBUG_LOG("%s of %s, of %d rows: cuDNN's engine %lld, %zu bytes of workspace", direction, text,
               spec->rows, engine, workspace_bytes);
}

/* Of a network's many the first is told aloud, the others only where all is logged. */
void pl_no_convolution(const pl_convolution_spec *spec, const char *direction, const char *answer) {
  static bool told;
  char text[CONVOLUTION_TEXT];
  describe(spec, text);
  pl_log(told ? PL_LOG_DEBUG : PL_LOG_INFO,
         "this cuDNN has no engine for %s of %s, that adds in a fixed order (%s); matrix products "
         "of its windows are slower",
         direction, text, answer);
  told = true;
}

pl_status pl_no_product(const pl_product_spec *spec) {
  return PL_FAIL(PL_E_INTERNAL,
                 "this cuBLASLt has no product of %s (%d, %d) · (%d, %d) that adds in a fixed "
                 "order; use a newer cuBLAS or the processor (cpu)",
                 pl_dtype_name(spec->type), spec->rows, spec->inner, spec->inner, spec->cols);
}
