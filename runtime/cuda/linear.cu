#include "runtime/cuda/columns.h"

namespace {

template <typename T>
struct values_of {
  const T *from;
  size_t columns;
  template <int N>
  __device__ void add(size_t line, size_t column, float (&sum)[1][N]) const {
    pl_values<N> v = pl_read_values<N>(from, line * columns + column);
    for (int n = 0; n < N; n++) sum[0][n] += v.at[n];
  }
};

struct narrowed_to {
  float *to;
  __device__ void store(size_t column, const double (&sum)[1]) const { to[column] = (float)sum[0]; }
};

template <typename T>
void column_sums(pl_stream stream, float *to, const void *from, size_t lines, size_t columns,
                 double *partial) {
  values_of<T> values = {(const T *)from, columns};
  pl_column_sums<1>(stream, values, narrowed_to{to}, pl_fours_in(columns, values.from), lines,
                    columns, partial);
}

}  // namespace

void pl_launch_column_sums(pl_stream stream, pl_dtype type, float *to, const void *from,
                           size_t lines, size_t columns, double *partial) {
  PL_BY_TYPE(type, column_sums, stream, to, from, lines, columns, partial);
}
