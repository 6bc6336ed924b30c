/* Augmentation of images, as in SimCLR (Chen 2020, appendix A): random resized crop, flip, colour
 * jitter in random order, grey, Gaussian blur, solarize, normalise; in this order.
 *
 * Two halves. pl_augment_draw turns a stream of random numbers into parameters; pl_augment_apply
 * computes the view for given parameters. Each operation gives, within rounding, what torchvision's
 * functional operation gives on float tensors for the same parameters (resize with antialias). One
 * exception: where bicubic interpolation overshoots, the result is clamped to [0, 1], as
 * torchvision does for 8-bit images; the colour operations that follow are meant for that range. */
#ifndef PL_DATA_AUGMENT_H
#define PL_DATA_AUGMENT_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/random.h"
#include "runtime/data/dataset.h"
#include "runtime/data/view.h"

/* Distribution of views. Probabilities and factors as in torchvision's ColorJitter & co. */
typedef struct pl_augment_options {
  int size;                      /* output is size × size */
  bool random_crop;              /* false: the crop of the evaluation view */
  double crop_min, crop_max;     /* area share */
  double aspect_min, aspect_max; /* width / height */
  pl_interpolation interpolation;
  double flip;                             /* probability */
  double jitter;                           /* probability of colour jitter as a whole */
  double brightness, contrast, saturation; /* factor in [max(0, 1-x), 1+x] */
  double hue;                              /* shift in [-x, x], of a full turn; x <= 0.5 */
  double grey;
  double blur, blur_sigma_min, blur_sigma_max; /* probability; sigma in pixels */
  int blur_kernel;       /* odd; 0: the odd number next to a tenth of `size`, at least 3 */
  double solarize;       /* probability; threshold 0.5 */
  double centre_ratio;   /* evaluation: side of the centred square box / shorter side; in (0, 1] */
  float mean[3], std[3]; /* of RGB in [0, 1]; output = (x - mean) / std */
} pl_augment_options;

/* PL_E_USAGE names the first option that is out of range. The functions below need options that
 * pass. */
pl_status pl_augment_check(const pl_augment_options *options);

/* Side of the blur kernel that the options stand for. */
int pl_augment_blur_kernel(const pl_augment_options *options);

/* Draws for an image of the given size. No decision's numbers depend on the outcome of another. The
 * crop box follows torchvision's RandomResizedCrop (ten tries, then the largest centred box). */
void pl_augment_draw(const pl_augment_options *options, int width, int height, pl_random *random,
                     pl_view_params *params);

/* Parameters of the evaluation view (no randomness): the centred square of centre_ratio times the
 * shorter side. */
void pl_augment_centre(const pl_augment_options *options, int width, int height,
                       pl_view_params *params);

/* Scratch of one thread; zero-initialise, free with pl_augment_scratch_free. */
typedef struct pl_augment_scratch {
  unsigned char *block;
  size_t capacity; /* bytes */
} pl_augment_scratch;
void pl_augment_scratch_free(pl_augment_scratch *scratch);
/* Makes room for all views of images up to that size. Else it grows with what comes. */
pl_status pl_augment_reserve(const pl_augment_options *options, int width, int height,
                             pl_augment_scratch *scratch);

/* view: (size, size, 3) f32, normalised. PL_E_INTERNAL for a crop box outside the image or when
 * memory can't be had. Safe from several threads with different scratch. */
pl_status pl_augment_apply(const pl_augment_options *options, const pl_view_params *params,
                           const pl_image *image, pl_augment_scratch *scratch, float *view);

/* The first of its steps alone, crop, resize and flip. planes: (3, size, size) f32 in [0, 1], red,
 * green, blue. Errors as above. */
pl_status pl_augment_resize(const pl_augment_options *options, const pl_view_params *params,
                            const pl_image *image, pl_augment_scratch *scratch, float *planes);

#endif
