#include "tests/unit/stored.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/memory.h"
#include "tests/check.h"

static char *read_stored(const char *name, size_t *size) {
  char path[PL_PATH_MAX], *text = NULL;
  CHECK_OK(pl_path_join(PL_TEST_FOLDER "/../parity", name, path));
  CHECK_OK(pl_read_file(path, 1 << 20, &text, size));
  return text;
}

void stored_check_values(const char *name, const float *values, size_t count) {
  size_t size;
  double largest = 0, error = 0;
  char *expected = read_stored(name, &size);
  assert_int_equal(size, count * sizeof *values);
  for (size_t i = 0; i < count; i++) {
    float theirs;
    memcpy(&theirs, expected + i * sizeof theirs, sizeof theirs);
    assert_false(isnan(values[i]));
    largest = fmax(largest, fabs((double)theirs));
    error = fmax(error, fabs((double)values[i] - (double)theirs));
  }
  print_message("%s: largest difference %.2g of the largest value\n", name, error / largest);
  CHECK_NEAR(error / largest, 0, 1e-5);
  pl_free(expected);
}

static pl_status fetch(void *context, int64_t leaf, pl_exec_input *input) {
  (void)leaf;
  input->host = *(const void **)context;
  return PL_OK;
}

void stored_run_part(const pl_method *method, const pl_state *state, pl_part part, int rows,
                     const void *input, float *out) {
  pl_net *net = NULL;
  pl_exec *exec = NULL;
  pl_ranks alone = pl_ranks_alone();
  pl_exec_options options = {.leaves = 1, .total_leaves = 1, .ranks = &alone};
  CHECK_OK(pl_method_compile_part(method, part, rows, &net));
  CHECK_OK(pl_net_load(net, state->image, state->buffers));
  CHECK_OK(pl_exec_create(net, &options, &exec));
  CHECK_OK(pl_exec_forward(exec, fetch, &input, out, NULL));
  pl_exec_destroy(&exec);
  pl_net_destroy(&net);
}

/* ---- steps ---- */

static double number_after(char **at) {
  char *end;
  double value = strtod(*at, &end);
  assert_true(end > *at && isfinite(value));
  *at = end;
  return value;
}

static void read_line(char *line, stored_step *step) {
  char *at = strchr(line, ' ');
  assert_non_null(at);
  *at++ = '\0';
  if (strcmp(line, "images") == 0) {
    step->images = (int)number_after(&at);
  } else if (strcmp(line, "loss") == 0) {
    step->loss = number_after(&at);
  } else {
    stored_tensor *tensor = &step->tensor[step->count++];
    assert_true(strlen(line) < sizeof tensor->name);
    memcpy(tensor->name, line, strlen(line) + 1);
    tensor->length = number_after(&at);
    for (int k = 0; k < FORMULA_SIGNS; k++) tensor->product[k] = number_after(&at);
  }
  assert_int_equal(*at, '\0');
}

stored_step stored_step_read(const char *name) {
  char *text = read_stored(name, NULL), *rest = text;
  size_t lines = 0;
  for (const char *c = text; *c; c++) lines += *c == '\n';
  stored_step step = {.tensor = pl_alloc(lines, sizeof *step.tensor)};
  assert_non_null(step.tensor);
  for (char *line; (line = strsep(&rest, "\n")) && *line;) read_line(line, &step);
  pl_free(text);
  return step;
}

void stored_step_free(stored_step *step) {
  pl_free(step->tensor);
  *step = (stored_step){0};
}

const stored_tensor *stored_find(const stored_step *step, const char *name) {
  const stored_tensor *found = NULL;
  for (int i = 0; !found && i < step->count; i++)
    if (strcmp(step->tensor[i].name, name) == 0) found = &step->tensor[i];
  if (!found) print_error("%s is not stored\n", name);
  assert_non_null(found);
  return found;
}

/* Also the lengths are compared: of them a difference along the tensor itself is seen best. */
double stored_distance(const stored_tensor *expected, const formula_digest *found) {
  double squares = 0;
  for (int k = 0; k < FORMULA_SIGNS; k++) {
    double difference = found->product[k] - expected->product[k];
    squares += difference * difference;
  }
  double by_products = sqrt(squares / FORMULA_SIGNS);
  double by_length = fabs(sqrt(found->squares) - expected->length);
  return (by_products > by_length ? by_products : by_length) / expected->length;
}
