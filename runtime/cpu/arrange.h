/* Copying activations into an order in which a convolution runs faster, and back.
 *
 * The AMX kernels of oneDNN work on 16 neighbouring outputs of a line at a time, so that on maps of
 * 4×4 three quarters of a tile idle; and the gradient of weights seems to sum over as many
 * positions at once as the largest even divisor of the line's width up to 32 says (16 for a line of
 * 16, but 2 for one of 34): the timings of version 2.6.3 follow that rule. Strips put several
 * images side by side in one image whose width is a multiple of 32, with zeros between them that
 * serve as padding for both neighbours. A 1×1 convolution with a stride reads only every so many
 * positions: picking these first makes it a plain matrix product. So does copying each window to a
 * line of its own where windows tile the image. Copies cost little beside what
 * they save: they move each activation once, a convolution works on it kernel² · channels times. */
#ifndef PL_CPU_ARRANGE_H
#define PL_CPU_ARRANGE_H

#include "runtime/net/graph.h"

/* `rows` images of shape `image`, `per_strip` of them to a strip of `width` columns; each takes
 * `pitch` columns, of which the first image.width are its own. All other columns, and the places in
 * the last strip for which there is no image, are zero. Strips are (strips, height, width,
 * channels). */
typedef struct pl_strips {
  int rows, strips, per_strip, pitch, width;
  pl_shape image;
  size_t element; /* bytes */
} pl_strips;

/* Strips for the input and the output of a convolution whose window has kernel = 2 pad + 1, so that
 * the outputs of an image depend on its own columns and `pad` zeros on either side only. Returns
 * false where strips would not pay. */
bool pl_strips_plan(int rows, pl_shape in, pl_shape out, pl_window window, size_t element,
                    pl_strips *in_strips, pl_strips *out_strips);

pl_shape pl_strips_shape(const pl_strips *strips); /* of one strip */
size_t pl_strips_bytes(const pl_strips *strips);
void pl_strips_pack(const pl_strips *strips, const void *images, void *to);
void pl_strips_unpack(const pl_strips *strips, const void *from, void *images);

/* Positions (stride * h, stride * w) of images of shape `in` as images of shape `out`. */
typedef struct pl_picks {
  int rows, stride;
  pl_shape in, out;
  size_t element; /* bytes */
} pl_picks;

void pl_picks_gather(const pl_picks *picks, const void *images, void *to);
/* The reverse; positions that gather does not read become zero. */
void pl_picks_spread(const pl_picks *picks, const void *from, void *images);

/* Windows of side × side positions that stand side by side in images of shape `in`; each becomes a
 * line of channels · side² elements in the order of weights: by channel, then row, then column.
 * Positions that no window covers, at the lower and the right edge, are left out. */
typedef struct pl_tiles {
  int rows, side;
  pl_shape in;
  int down, across; /* windows of an image */
  size_t element;   /* bytes: 2 or 4 */
} pl_tiles;

void pl_tiles_gather(const pl_tiles *tiles, const void *images, void *lines);
/* The reverse; positions that no window covers become zero. */
void pl_tiles_spread(const pl_tiles *tiles, const void *lines, void *images);

#endif
