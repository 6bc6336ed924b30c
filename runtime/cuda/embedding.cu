#include "runtime/cuda/columns.h"

namespace {

/* The gradient of a token is the sum over its positions, in their order. So positions are sorted by
 * token: tiles of keys in shared memory, then runs of them are merged. The sorted list is cut into
 * pieces, as a few tokens (padding, the end) make up most of a batch: each piece sums its tokens by
 * itself, and those that go beyond a piece are added up from the pieces' parts. */

enum { THREADS = 256, TILE = 1024, PIECE = 64, GROUP = 8, SUM_THREADS = 128 };

/* A key has the token in its upper half and the position in its lower: no two are equal. Tokens
 * without a row of the table come last. */
__device__ inline uint32_t token_of(uint64_t key) { return (uint32_t)(key >> 32); }
__device__ inline uint32_t position_of(uint64_t key) { return (uint32_t)key; }

size_t up_to(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

template <int N, typename T>
__global__ void forward_kernel(pl_cuda_embedding_shape shape, const int32_t *ids, const T *table,
                               T *y) {
  size_t i = (blockIdx.x * (size_t)blockDim.x + threadIdx.x) * N, p = i / shape.channels;
  if (p >= shape.positions) return;
  size_t id = (size_t)(int64_t)ids[p]; /* negative ones are huge */
  pl_values<N> v = {};
  if (id < shape.vocabulary) v = pl_read_values<N>(table, id * shape.channels + i % shape.channels);
  pl_write_values<N>(y, i, v);
}

/* ---- sorting ---- */

__device__ inline uint64_t key_of(const pl_cuda_embedding_shape &shape, const int32_t *ids,
                                  size_t p) {
  uint64_t token = p < shape.positions ? (uint32_t)ids[p] : 0xFFFFFFFF;
  return (token < shape.vocabulary ? token : 0xFFFFFFFF) << 32 | p;
}

/* Sorts each tile by itself (bitonic). */
__global__ void sort_tiles_kernel(pl_cuda_embedding_shape shape, const int32_t *ids,
                                  uint64_t *keys) {
  PL_SHARED uint64_t tile[TILE];
  size_t first = blockIdx.x * (size_t)TILE;
  for (unsigned i = threadIdx.x; i < TILE; i += blockDim.x) tile[i] = key_of(shape, ids, first + i);
  for (unsigned size = 2; size <= TILE; size *= 2)
    for (unsigned stride = size / 2; stride > 0; stride /= 2) {
      __syncthreads();
      for (unsigned pair = threadIdx.x; pair < TILE / 2; pair += blockDim.x) {
        unsigned low = 2 * pair - pair % stride, high = low + stride;
        uint64_t a = tile[low], b = tile[high];
        bool rising = (low & size) == 0;
        if ((a > b) == rising) {
          tile[low] = b;
          tile[high] = a;
        }
      }
    }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < TILE; i += blockDim.x) keys[first + i] = tile[i];
}

/* Merges neighbouring sorted runs: a key's place is its own in its run, and behind the smaller ones
 * of the other. */
__global__ void merge_kernel(const uint64_t *from, uint64_t *to, size_t count, size_t run) {
  size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x;
  if (i >= count) return;
  uint64_t key = from[i];
  size_t own = i / run * run, both = i / (2 * run) * (2 * run);
  size_t other = own == both ? own + run : both;
  size_t low = other < count ? other : count, end = other + run < count ? other + run : count;
  size_t start = low;
  while (low < end) {
    size_t middle = low + (end - low) / 2;
    if (from[middle] < key)
      low = middle + 1;
    else
      end = middle;
  }
  to[both + (i - own) + (low - start)] = key;
}

/* ---- summing ---- */

/* Where the sum of a token goes that a piece shares with others: a piece has room for that of its
 * first token, if it began before, and of its last, if it goes on behind. */
__device__ inline float *edge_of(float *edges, size_t piece, bool last, size_t channels) {
  return edges + (2 * piece + last) * channels;
}

/* Tokens around a piece; one that no key has stands for the ends of the list. */
struct neighbours {
  uint32_t before, behind;
};

__device__ inline neighbours neighbours_of(const uint64_t *keys, size_t count, size_t piece) {
  size_t first = piece * PIECE, end = first + PIECE;
  return {first > 0 ? token_of(keys[first - 1]) : 0xFFFFFFFE,
          end < count ? token_of(keys[end]) : 0xFFFFFFFE};
}

/* Blocks have a piece and, where there are many, some of the channels. */
template <int N, typename T>
__global__ void sum_pieces_kernel(pl_cuda_embedding_shape shape, const uint64_t *keys, size_t count,
                                  unsigned tiles, const T *dy, float *edges, float *dtable) {
  size_t piece = blockIdx.x / tiles, channels = shape.channels;
  size_t c = ((blockIdx.x % tiles) * (size_t)blockDim.x + threadIdx.x) * N;
  if (c >= channels) return;
  const uint64_t *key = keys + piece * PIECE;
  neighbours around = neighbours_of(keys, count, piece);
  uint32_t token = token_of(key[0]);
  bool began_before = token == around.before;
  pl_values<N> sum = {};
  for (int first = 0; first < PIECE; first += GROUP) {
    pl_values<N> g[GROUP];
    uint32_t its[GROUP];
    for (int i = 0; i < GROUP; i++) {
      its[i] = token_of(key[first + i]);
      g[i] = {};
      if (its[i] < shape.vocabulary)
        g[i] = pl_read_values<N>(dy, (size_t)position_of(key[first + i]) * channels + c);
    }
    for (int i = 0; i < GROUP; i++) {
      if (its[i] != token) {
        float *to = began_before ? edge_of(edges, piece, false, channels)
                                 : dtable + (size_t)token * channels;
        pl_write_values<N>(to, c, sum);
        token = its[i];
        began_before = false;
        sum = {};
      }
      for (int n = 0; n < N; n++) sum.at[n] += g[i].at[n];
    }
  }
  if (token >= shape.vocabulary) return;
  bool goes_on = token == around.behind;
  float *to = began_before || goes_on ? edge_of(edges, piece, !began_before, channels)
                                      : dtable + (size_t)token * channels;
  pl_write_values<N>(to, c, sum);
}

/* Tokens of several pieces: the block of the piece where one begins adds its parts. */
template <int N>
__global__ void add_edges_kernel(pl_cuda_embedding_shape shape, const uint64_t *keys, size_t count,
                                 float *edges, float *dtable) {
  size_t piece = blockIdx.x, channels = shape.channels;
  uint32_t token = token_of(keys[piece * PIECE + PIECE - 1]);
  neighbours around = neighbours_of(keys, count, piece);
  bool whole = token == token_of(keys[piece * PIECE]);
  if (token >= shape.vocabulary || token != around.behind || (whole && token == around.before))
    return;
  size_t end = piece + 1;
  while (end * PIECE < count && token_of(keys[end * PIECE]) == token) end++;
  for (size_t c = threadIdx.x * (size_t)N; c < channels; c += blockDim.x * (size_t)N) {
    pl_values<N> sum = pl_read_values<N>(edge_of(edges, piece, true, channels), c);
    for (size_t i = piece + 1; i < end; i++) {
      pl_values<N> part = pl_read_values<N>(edge_of(edges, i, false, channels), c);
      for (int n = 0; n < N; n++) sum.at[n] += part.at[n];
    }
    pl_write_values<N>(dtable + (size_t)token * channels, c, sum);
  }
}

/* ---- launches ---- */

template <typename T>
void forward(pl_stream stream, const pl_cuda_embedding_shape &shape, const int32_t *ids,
             const void *from, void *to) {
  const T *table = (const T *)from;
  T *y = (T *)to;
  size_t elements = shape.positions * shape.channels;
  if (pl_fours_in(shape.channels, table, y))
    PL_LAUNCH((forward_kernel<4, T>), up_to(elements / 4, THREADS) / THREADS, THREADS, stream,
              shape, ids, table, y);
  else
    PL_LAUNCH((forward_kernel<1, T>), up_to(elements, THREADS) / THREADS, THREADS, stream, shape,
              ids, table, y);
}

/* Sorts with two arrays of `count` keys; gives the one that has the result. */
uint64_t *sort(pl_stream stream, const pl_cuda_embedding_shape &shape, const int32_t *ids,
               uint64_t *keys, uint64_t *other, size_t count) {
  PL_LAUNCH(sort_tiles_kernel, count / TILE, THREADS, stream, shape, ids, keys);
  for (size_t run = TILE; run < count; run *= 2) {
    PL_LAUNCH(merge_kernel, count / THREADS, THREADS, stream, keys, other, count, run);
    uint64_t *merged = other;
    other = keys;
    keys = merged;
  }
  return keys;
}

template <int N, typename T>
void sum(pl_stream stream, const pl_cuda_embedding_shape &shape, const uint64_t *keys, size_t count,
         const T *dy, float *edges, float *dtable) {
  unsigned tiles = (unsigned)(up_to(shape.channels, SUM_THREADS * N) / (SUM_THREADS * N));
  size_t pieces = count / PIECE;
  PL_LAUNCH((sum_pieces_kernel<N, T>), pieces * tiles, SUM_THREADS, stream, shape, keys, count,
            tiles, dy, edges, dtable);
  PL_LAUNCH((add_edges_kernel<N>), pieces, SUM_THREADS, stream, shape, keys, count, edges, dtable);
}

template <typename T>
void backward(pl_stream stream, const pl_cuda_embedding_shape &shape, const int32_t *ids,
              const void *from, void *scratch, float *dtable) {
  const T *dy = (const T *)from;
  size_t count = up_to(shape.positions, TILE);
  uint64_t *keys = (uint64_t *)scratch;
  float *edges = (float *)(keys + 2 * count);
  keys = sort(stream, shape, ids, keys, keys + count, count);
  if (pl_fours_in(shape.channels, dy, edges, dtable))
    sum<4>(stream, shape, keys, count, dy, edges, dtable);
  else
    sum<1>(stream, shape, keys, count, dy, edges, dtable);
}

}  // namespace

void pl_launch_embedding(pl_stream stream, const pl_cuda_embedding_shape *shape, const int32_t *ids,
                         const void *table, void *y) {
  PL_BY_TYPE(shape->type, forward, stream, *shape, ids, table, y);
}

size_t pl_launch_embedding_scratch(const pl_cuda_embedding_shape *shape) {
  size_t count = up_to(shape->positions, TILE);
  return 2 * count * sizeof(uint64_t) + 2 * (count / PIECE) * shape->channels * sizeof(float);
}

void pl_launch_embedding_gradient(pl_stream stream, const pl_cuda_embedding_shape *shape,
                                  const int32_t *ids, const void *dy, void *scratch,
                                  float *dtable) {
  PL_BY_TYPE(shape->type, backward, stream, *shape, ids, dy, scratch, dtable);
}
