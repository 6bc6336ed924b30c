#include "runtime/store/differences.h"

#include <stdio.h>

#include "runtime/base/log.h"

enum { SHAPE_TEXT = 192, DIFFERENCE_TEXT = 1024 };

void pl_differ(pl_differences *d, const char *format, ...) {
  char text[DIFFERENCE_TEXT];
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  d->count++;
  if (d->unlisted == 0) {
    size_t room = sizeof d->list - d->length;
    int length = snprintf(d->list + d->length, room, "%s%s", d->length == 0 ? "" : "; ", text);
    if ((size_t)length < room) {
      d->length += (size_t)length;
      return;
    }
    d->list[d->length] = '\0';
  }
  d->unlisted++;
  if (!d->silent) PL_WARN("%s and the model differ: %s", d->subject, text);
}

static const char *shape_text(int dims, const int64_t *dim, char out[SHAPE_TEXT]) {
  int length = snprintf(out, SHAPE_TEXT, "(");
  for (int i = 0; i < dims; i++) {
    length += snprintf(out + length, SHAPE_TEXT - (size_t)length, "%s%lld", i == 0 ? "" : ", ",
                       (long long)dim[i]);
  }
  snprintf(out + length, SHAPE_TEXT - (size_t)length, ")");
  return out;
}

void pl_differ_in_shape(pl_differences *d, const char *name, int dims, const int64_t *dim,
                        int model_dims, const int64_t *model_dim) {
  char theirs[SHAPE_TEXT], ours[SHAPE_TEXT];
  pl_differ(d, "%s has shape %s in the %s, %s in the model", name, shape_text(dims, dim, theirs),
            d->place, shape_text(model_dims, model_dim, ours));
}

pl_status pl_differences_judge(const pl_differences *d) {
  if (d->count == 0) return PL_OK;
  char rest[64] = "";
  if (d->unlisted > 0) snprintf(rest, sizeof rest, "; and %d more, named in the log", d->unlisted);
  return PL_FAIL(PL_E_DATA, "%s and the model differ in %d tensors: %s%s", d->subject, d->count,
                 d->list, rest);
}
