#include "runtime/cpu/arrange.h"

#include <string.h>

#include "runtime/cpu/element.h"

/* In outputs of a line: what forward and backward data compute at once, what the gradient of
 * weights sums at once, and how wide strips get: beyond that, timings showed no clear gain. */
enum { TILE = 16, SUMMED = 32, WIDEST = 256 };

static int ceil_div(int a, int b) { return (a + b - 1) / b; }
static int round_up(int a, int unit) { return ceil_div(a, unit) * unit; }

/* How many positions of a line oneDNN sums at once (see the header). */
static int summed_at_once(int width) {
  int even = round_up(width, 2), count = SUMMED;
  while (even % count != 0) count -= 2;
  return count;
}

/* Images per strip with the fewest columns in all; of equals the most. */
static int choose_per_strip(int rows, int pitch) {
  int best = 1;
  int64_t fewest = INT64_MAX;
  for (int images = 1; images <= rows && images * pitch <= WIDEST; images++) {
    int64_t columns = (int64_t)ceil_div(rows, images) * round_up(images * pitch, SUMMED);
    if (columns > fewest) continue;
    best = images;
    fewest = columns;
  }
  return best;
}

bool pl_strips_plan(int rows, pl_shape in, pl_shape out, pl_window window, size_t element,
                    pl_strips *in_strips, pl_strips *out_strips) {
  if (window.kernel != 2 * window.pad + 1 || window.pad == 0) return false;
  if (out.width > TILE && summed_at_once(out.width) >= TILE) return false;
  int pitch = ceil_div(in.width + window.pad, window.stride);
  int images = choose_per_strip(rows, pitch);
  *out_strips = (pl_strips){.rows = rows,
                            .strips = ceil_div(rows, images),
                            .per_strip = images,
                            .pitch = pitch,
                            .width = round_up(images * pitch, SUMMED),
                            .image = out,
                            .element = element};
  *in_strips = *out_strips;
  in_strips->image = in;
  in_strips->pitch *= window.stride;
  in_strips->width *= window.stride;
  return true;
}

pl_shape pl_strips_shape(const pl_strips *strips) {
  return (pl_shape){strips->image.height, strips->width, strips->image.channels};
}

size_t pl_strips_bytes(const pl_strips *strips) {
  return (size_t)strips->strips * pl_shape_elements(pl_strips_shape(strips)) * strips->element;
}

/* Bytes of a line of one image, of a whole image, and of an image's share of a strip's line, of the
 * whole of that line. */
typedef struct strip_sizes {
  size_t line, image, pitch, strip_line;
} strip_sizes;

static strip_sizes sizes_of(const pl_strips *s) {
  size_t position = (size_t)s->image.channels * s->element;
  return (strip_sizes){position * s->image.width, position * s->image.width * s->image.height,
                       position * s->pitch, position * s->width};
}

void pl_strips_pack(const pl_strips *s, const void *images, void *to) {
  strip_sizes bytes = sizes_of(s);
  int lines = s->strips * s->image.height;
#pragma omp parallel for schedule(static)
  for (int line = 0; line < lines; line++) {
    int strip = line / s->image.height, h = line % s->image.height;
    char *t = (char *)to + line * bytes.strip_line, *end = t + bytes.strip_line;
    for (int i = 0; i < s->per_strip; i++, t += bytes.pitch) {
      int64_t image = (int64_t)strip * s->per_strip + i;
      size_t used = image < s->rows ? bytes.line : 0;
      if (used) memcpy(t, (const char *)images + image * bytes.image + h * bytes.line, used);
      memset(t + used, 0, bytes.pitch - used);
    }
    memset(t, 0, (size_t)(end - t));
  }
}

void pl_strips_unpack(const pl_strips *s, const void *from, void *images) {
  strip_sizes bytes = sizes_of(s);
#pragma omp parallel for schedule(static)
  for (int image = 0; image < s->rows; image++) {
    int strip = image / s->per_strip, place = image % s->per_strip;
    for (int h = 0; h < s->image.height; h++) {
      size_t line = (size_t)strip * s->image.height + h;
      memcpy((char *)images + image * bytes.image + h * bytes.line,
             (const char *)from + line * bytes.strip_line + place * bytes.pitch, bytes.line);
    }
  }
}

void pl_picks_gather(const pl_picks *p, const void *images, void *to) {
  size_t position = (size_t)p->in.channels * p->element;
  int lines = p->rows * p->out.height;
#pragma omp parallel for schedule(static)
  for (int line = 0; line < lines; line++) {
    int64_t row = line / p->out.height, h = line % p->out.height;
    const char *f =
        (const char *)images + (row * p->in.height + h * p->stride) * p->in.width * position;
    char *t = (char *)to + (size_t)line * p->out.width * position;
    for (int w = 0; w < p->out.width; w++)
      memcpy(t + w * position, f + (size_t)w * p->stride * position, position);
  }
}

void pl_picks_spread(const pl_picks *p, const void *from, void *images) {
  size_t position = (size_t)p->in.channels * p->element;
  int lines = p->rows * p->in.height;
#pragma omp parallel for schedule(static)
  for (int line = 0; line < lines; line++) {
    int row = line / p->in.height, h = line % p->in.height;
    char *t = (char *)images + (size_t)line * p->in.width * position;
    memset(t, 0, p->in.width * position);
    if (h % p->stride != 0 || h / p->stride >= p->out.height) continue;
    const char *f = (const char *)from +
                    ((int64_t)row * p->out.height + h / p->stride) * p->out.width * position;
    for (int w = 0; w < p->out.width; w++)
      memcpy(t + (size_t)w * p->stride * position, f + w * position, position);
  }
}

/* Copies one window between its image and its line. */
PL_INLINE void copy_tile(const pl_tiles *p, size_t element, bool gather, char *window, char *line) {
  size_t position = (size_t)p->in.channels * element, row = p->in.width * position;
  for (int c = 0; c < p->in.channels; c++)
    for (int h = 0; h < p->side; h++) {
      char *pixel = window + h * row + c * element;
      for (int w = 0; w < p->side; w++, pixel += position, line += element)
        memcpy(gather ? line : pixel, gather ? pixel : line, element);
    }
}

/* All windows. Element size and direction are constants in each copy of the inner loops. */
static void copy_tiles(const pl_tiles *p, char *images, char *lines, bool gather) {
  size_t position = (size_t)p->in.channels * p->element, row = p->in.width * position;
  size_t line_bytes = (size_t)p->side * p->side * position;
#pragma omp parallel for schedule(static)
  for (int i = 0; i < p->rows * p->down; i++) {
    char *image = images + (size_t)(i / p->down) * p->in.height * row;
    char *window = image + (size_t)(i % p->down) * p->side * row;
    char *line = lines + (size_t)i * p->across * line_bytes;
    for (int t = 0; t < p->across; t++, window += p->side * position, line += line_bytes) {
      if (p->element == 2 && gather)
        copy_tile(p, 2, true, window, line);
      else if (p->element == 2)
        copy_tile(p, 2, false, window, line);
      else if (gather)
        copy_tile(p, 4, true, window, line);
      else
        copy_tile(p, 4, false, window, line);
    }
  }
}

void pl_tiles_gather(const pl_tiles *p, const void *images, void *lines) {
  copy_tiles(p, (char *)images, lines, true);
}

void pl_tiles_spread(const pl_tiles *p, const void *lines, void *images) {
  bool covered = p->down * p->side == p->in.height && p->across * p->side == p->in.width;
  if (!covered) memset(images, 0, (size_t)p->rows * pl_shape_elements(p->in) * p->element);
  copy_tiles(p, images, (char *)lines, false);
}
