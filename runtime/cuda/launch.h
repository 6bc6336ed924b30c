/* Functions that run device code: each starts kernels on `stream` and returns. Plain C on the
 * outside; all pointers but those said to be the host's are memory of the device. `type` is PL_F32
 * or PL_BF16. Sections belong to the files X.cu of the same name. */
#ifndef PL_CUDA_LAUNCH_H
#define PL_CUDA_LAUNCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/data/packed.h"
#include "runtime/tensor/dtype.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CUstream_st *pl_stream; /* cudaStream_t */

/* ---- pointwise.cu ---- */

/* to += from, element by element. */
void pl_launch_add_f32(pl_stream stream, float *to, const float *from, size_t n);
void pl_launch_add_f64(pl_stream stream, double *to, const double *from, size_t n);
/* to = a + b; `to` may be one of them. */
void pl_launch_add(pl_stream stream, pl_dtype type, void *to, const void *a, const void *b,
                   size_t n);
void pl_launch_convert(pl_stream stream, pl_dtype to_type, void *to, pl_dtype from_type,
                       const void *from, size_t n);
/* y = the positive part of x (a NaN stays); dx = dy where y is positive, else 0. */
void pl_launch_relu(pl_stream stream, pl_dtype type, void *y, const void *x, size_t n);
void pl_launch_relu_gradient(pl_stream stream, pl_dtype type, void *dx, const void *y,
                             const void *dy, size_t n);
/* As pl_backend's `moments`. */
void pl_launch_moments(pl_stream stream, double *statistic, const double *totals, size_t channels,
                       double count);

/* ---- columns.cu ---- */

/* Sums over the positions of an array (positions, columns) are made in this many chunks: their
 * scratch has a double for each chunk, column and sum. */
size_t pl_launch_column_chunks(size_t positions, size_t columns);

/* ---- norm.cu ---- */

/* A batch norm with what is fused into it: y = relu((x - mean) * inverse * gain + bias + skip). */
typedef struct pl_cuda_norm {
  size_t positions, channels;
  pl_dtype in_type, out_type; /* of x, skip, dx, dskip; of y, dy. Not f32 in and bf16 out */
  bool add, relu;
  const float *gain, *bias, *mean, *inverse; /* (channels); inverse: 1 / standard deviation */
} pl_cuda_norm;

/* sums: Σx, then Σx² of each channel. partial: pl_launch_column_chunks() * 2 * channels. */
void pl_launch_norm_sums(pl_stream stream, const pl_cuda_norm *norm, const void *x, double *partial,
                         double *sums);
/* Mean and inverse of each channel from the sums over `count` elements. */
void pl_launch_norm_statistics(pl_stream stream, size_t channels, const double *totals,
                               double count, float epsilon, float *mean, float *inverse);
/* variance[c] becomes 1 / sqrt(variance[c] + epsilon). */
void pl_launch_norm_invert(pl_stream stream, size_t channels, float epsilon, float *variance);
void pl_launch_norm_apply(pl_stream stream, const pl_cuda_norm *norm, const void *x,
                          const void *skip, void *y);
/* g = dy where the relu let pass, else 0. sums: Σg, then Σ g x̂, which also are dbias and dgain. y
 * is read where both add and relu are set; else the mask is worked out from x. */
void pl_launch_norm_gradient_sums(pl_stream stream, const pl_cuda_norm *norm, const void *x,
                                  const void *y, const void *dy, double *partial, double *sums,
                                  float *dgain, float *dbias);
/* From the sums over `count` elements. dx and dskip may be NULL. */
void pl_launch_norm_gradient(pl_stream stream, const pl_cuda_norm *norm, const double *totals,
                             double count, const void *x, const void *y, const void *dy, void *dx,
                             void *dskip);

/* ---- pool.cu ---- */

typedef struct pl_cuda_pool {
  pl_dtype type;
  int rows, channels;
  int in_height, in_width, out_height, out_width;
  int kernel, stride, pad;
} pl_cuda_pool;

/* chosen: which of the window's positions y came from, a byte for each element of y; may be NULL.
 */
void pl_launch_max_pool(pl_stream stream, const pl_cuda_pool *pool, const void *x, void *y,
                        uint8_t *chosen);
void pl_launch_max_pool_gradient(pl_stream stream, const pl_cuda_pool *pool, const void *dy,
                                 const uint8_t *chosen, void *dx);
void pl_launch_avg_pool(pl_stream stream, const pl_cuda_pool *pool, const void *x, void *y);
void pl_launch_avg_pool_gradient(pl_stream stream, const pl_cuda_pool *pool, const void *dy,
                                 void *dx);

/* ---- normalize.cu ---- */

/* Rows of unit length; types as in pl_cuda_norm. */
void pl_launch_normalize(pl_stream stream, pl_dtype in_type, pl_dtype out_type, size_t rows,
                         size_t features, float epsilon, const void *x, void *y);
void pl_launch_normalize_gradient(pl_stream stream, pl_dtype in_type, pl_dtype out_type,
                                  size_t rows, size_t features, float epsilon, const void *x,
                                  const void *dy, void *dx);

/* ---- dropout.cu ---- */

/* A stream of random numbers: element i is dropped if the i-th number is below the threshold, else
 * scaled. key and counter: those of pl_random. */
typedef struct pl_cuda_dropout_mask {
  uint32_t key[2], counter[4];
  uint32_t threshold;
  float scale;
} pl_cuda_dropout_mask;

void pl_launch_dropout(pl_stream stream, pl_dtype type, const pl_cuda_dropout_mask *mask,
                       const void *from, void *to, size_t n);

/* ---- select.cu ---- */

/* y: of each row of x, (rows, length) positions of `bytes` each, the first one (ids NULL) or the
 * first of those with the largest id. The gradient writes all of dx. */
void pl_launch_select(pl_stream stream, size_t rows, size_t length, size_t bytes,
                      const int32_t *ids, const void *x, void *y);
void pl_launch_select_gradient(pl_stream stream, size_t rows, size_t length, size_t bytes,
                               const int32_t *ids, const void *dy, void *dx);

/* ---- positions.cu ---- */

typedef struct pl_cuda_positions_shape {
  pl_dtype type;
  size_t rows, length, channels; /* of y */
  size_t first;                  /* places in front of x: 1 with a class token, else 0 */
} pl_cuda_positions_shape;

/* place: (length, channels), of the type; class_token: (channels), f32, or NULL. */
void pl_launch_positions(pl_stream stream, const pl_cuda_positions_shape *shape, const void *x,
                         const void *place, const float *class_token, void *y);
/* dx and, without a class token, dclass may be NULL. partial: pl_launch_column_chunks() doubles for
 * each element of a row. */
void pl_launch_positions_gradient(pl_stream stream, const pl_cuda_positions_shape *shape,
                                  const void *dy, double *partial, float *dplace, float *dclass,
                                  void *dx);

/* ---- embedding.cu ---- */

typedef struct pl_cuda_embedding_shape {
  pl_dtype type; /* of table, y and dy */
  size_t positions, vocabulary, channels;
} pl_cuda_embedding_shape;

/* y: a row of the table (vocabulary, channels) for each id; zero for ids that it has none for. */
void pl_launch_embedding(pl_stream stream, const pl_cuda_embedding_shape *shape, const int32_t *ids,
                         const void *table, void *y);
size_t pl_launch_embedding_scratch(const pl_cuda_embedding_shape *shape); /* bytes */
/* Writes the rows of dtable whose ids occur. */
void pl_launch_embedding_gradient(pl_stream stream, const pl_cuda_embedding_shape *shape,
                                  const int32_t *ids, const void *dy, void *scratch, float *dtable);

/* ---- layer_norm.cu ---- */

typedef struct pl_cuda_layer_norm_shape {
  pl_dtype type;
  size_t positions, channels;
  float epsilon;
} pl_cuda_layer_norm_shape;

/* statistics: mean and 1 / sqrt(variance + epsilon) of each position; NULL where nobody asks. */
void pl_launch_layer_norm(pl_stream stream, const pl_cuda_layer_norm_shape *shape,
                          const float *gain, const float *bias, const void *x, void *y,
                          float *statistics);
size_t pl_launch_layer_norm_partial(const pl_cuda_layer_norm_shape *shape); /* doubles */
/* dx may be NULL; `add`: to what is there. partial: scratch of pl_launch_layer_norm_partial(). */
void pl_launch_layer_norm_gradient(pl_stream stream, const pl_cuda_layer_norm_shape *shape,
                                   const float *gain, const float *statistics, const void *x,
                                   const void *dy, double *partial, float *dgain, float *dbias,
                                   bool add, void *dx);

/* ---- linear.cu ---- */

/* to[c] = the sum over lines of from (lines, columns). partial: pl_launch_column_chunks() *
 * columns.
 */
void pl_launch_column_sums(pl_stream stream, pl_dtype type, float *to, const void *from,
                           size_t lines, size_t columns, double *partial);

/* ---- gelu.cu ---- */

/* y = x Φ(x), or x σ(1.702 x) where `quick`; dx = dy times the derivative at x. */
void pl_launch_gelu(pl_stream stream, pl_dtype type, bool quick, void *y, const void *x, size_t n);
void pl_launch_gelu_gradient(pl_stream stream, pl_dtype type, bool quick, void *dx, const void *x,
                             const void *dy, size_t n);

/* ---- attention_fused.cu, attention_fused_gradient.cu ---- */

/* Attention in bf16 that keeps scores on the chip. Heads have a width that is a multiple of the
 * unit and at most the largest; all arrays are aligned to 16 bytes. */
enum { PL_CUDA_HEAD_UNIT = 8, PL_CUDA_HEAD_LARGEST = 128 };

typedef struct pl_cuda_attention_shape {
  int rows, heads, length, width;
  bool causal;
  float scale, factor; /* of scores: 1 / sqrt(width), and that for powers of two */
} pl_cuda_attention_shape;

/* saved, (rows, heads, length): the logarithm (base 2) of each query's sum of exponentials; NULL
 * where nobody asks. */
void pl_launch_attention(pl_stream stream, const pl_cuda_attention_shape *shape, const void *x,
                         void *y, float *saved);
/* along, (rows, heads, length): scratch. */
void pl_launch_attention_gradient(pl_stream stream, const pl_cuda_attention_shape *shape,
                                  const void *x, const void *y, const void *dy, const float *saved,
                                  float *along, void *dx);

/* ---- attention_softmax.cu ---- */

/* Lines of scores: `length` numbers each, `line` elements apart. A line belongs to position
 * (line number % length), which if `causal` sees only itself and those before. */
typedef struct pl_softmax {
  size_t lines;
  int length, line;
  bool causal;
  float scale, factor; /* of scores: 1 / sqrt(width), and that for powers of two */
  float *saved;        /* (lines): what probabilities are made of again; forward: may be NULL */
} pl_softmax;

/* p = the probabilities; `p` may be `score`. */
void pl_launch_softmax(pl_stream stream, pl_dtype type, const pl_softmax *softmax, void *p,
                       const float *score);
/* From scores and the gradient `slope` of the probabilities: p again, and ds, the gradient of the
 * products that became scores. `p` may be `score`, `ds` may be `slope`. */
void pl_launch_softmax_gradient(pl_stream stream, pl_dtype type, const pl_softmax *softmax, void *p,
                                void *ds, const float *score, const float *slope);

/* ---- image.cu ---- */

struct pl_block_place; /* runtime/tensor/device.h, whose write_blocks this is */

void pl_launch_write_blocks(pl_stream stream, void *to, const struct pl_block_place *place,
                            const float *from, int64_t blocks);

/* ---- optim.cu ---- */

struct pl_optim_pass; /* runtime/optim/rule.h, whose engine these are */

void pl_launch_optim_measure(pl_stream stream, const struct pl_optim_pass *pass, double *sums);
void pl_launch_optim_update(pl_stream stream, const struct pl_optim_pass *pass);
/* Arrays begin where those of pl_device do. */
void pl_launch_scale(pl_stream stream, float *values, size_t n, float factor);
void pl_launch_follow(pl_stream stream, float *average, const float *values, size_t n, float rate);

/* ---- conv.cu ---- */

/* Weights from (out, in, window) to (out, window, in), and a gradient the way back to f32. */
void pl_launch_channels_last(pl_stream stream, pl_dtype type, void *to, const void *from,
                             size_t out, size_t in, size_t window);
void pl_launch_channels_first(pl_stream stream, pl_dtype type, float *to, const void *from,
                              size_t out, size_t in, size_t window);

/* ---- windows.cu ---- */

/* The square windows that a convolution lays over images, which are zero beside themselves. */
typedef struct pl_cuda_windows {
  pl_dtype type;
  int rows, channels;
  int in_height, in_width, out_height, out_width;
  int kernel, stride, pad;
} pl_cuda_windows;

static inline size_t pl_cuda_windows_elements(const pl_cuda_windows *w) {
  return (size_t)w->rows * (size_t)w->out_height * (size_t)w->out_width * (size_t)w->channels *
         (size_t)w->kernel * (size_t)w->kernel;
}

/* lines: (rows, out_height, out_width), each a window as (channels, kernel, kernel). The gradient
 * writes all of dx. */
void pl_launch_windows(pl_stream stream, const pl_cuda_windows *windows, const void *x,
                       void *lines);
void pl_launch_windows_gradient(pl_stream stream, const pl_cuda_windows *windows,
                                const void *dlines, void *dx);

/* ---- augment.cu ---- */

/* What an output of a resize is made of: so many inputs from one on. */
typedef struct pl_cuda_taps {
  int first, count;
} pl_cuda_taps;

/* Views [first, first + count) of a packed leaf. */
typedef struct pl_cuda_view_job {
  int size;
  bool bicubic;
  int most_taps; /* of an output, each way */
  int blur_kernel;
  float mean[3], by_std[3];

  const pl_packed_view *view; /* the leaf */
  bool contrast, blur;        /* whether any view of it has them */
  size_t first, count;
  pl_dtype type;
  void *out; /* (views, size, size, 3) of the whole leaf */

  /* Scratch, for `count` views. Per view: for outputs across, then down, their weights, tap by tap,
   * and taps; the blur's weights; planes before and after blurring across; sums of luma by blocks,
   * and their mean. */
  float *weight;      /* (count, 2, most_taps, size) */
  pl_cuda_taps *taps; /* (count, 2, size) */
  float *gaussian;    /* (count, blur_kernel) */
  float *planes;      /* (count, 3, size, size) */
  float *blurred;     /* (count, 3, size, size) */
  double *luma;       /* (count, pl_launch_view_blocks) */
  float *mean_luma;   /* (count) */
} pl_cuda_view_job;

/* Blocks that share the work on a view of that size. */
size_t pl_launch_view_blocks(int size);
void pl_launch_views(pl_stream stream, const pl_cuda_view_job *job);

#ifdef __cplusplus
}
#endif

#endif
