#include "launch/interchange/names.h"

#include <string.h>

static bool ends_with(const char *name, const char *end) {
  size_t length = strlen(name), tail = strlen(end);
  return length >= tail && strcmp(name + length - tail, end) == 0;
}

static bool is_one_of(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(name, names[i]) == 0) return true;
  }
  return false;
}

const char *pl_interchange_below(const char *prefix, const char *name) {
  size_t length = strlen(prefix);
  return strncmp(name, prefix, length) == 0 ? name + length : NULL;
}

const char *pl_interchange_prefix(const pl_space *space) {
  for (int p = 0; p < pl_space_params(space); p++) {
    if (pl_interchange_below("visual.", pl_space_param(space, p)->name)) return "visual.";
  }
  return "encoder.";
}

int pl_interchange_norm_length(const char *name) {
  static const char end[] = "running_mean";
  return ends_with(name, ".running_mean") ? (int)(strlen(name) - (sizeof end - 1)) : 0;
}

bool pl_interchange_is_scalar(const char *name) {
  static const char *const names[] = {"logit_scale", "logit_bias"};
  return is_one_of(name, names, sizeof names / sizeof *names);
}

bool pl_interchange_is_projection(const char *name) { return strcmp(name, "proj") == 0; }

/* The last three are numbers that the first files of CLIP's weights hold. */
bool pl_interchange_is_bookkeeping(const char *name) {
  static const char *const names[] = {"attn_mask", "text.attn_mask", "input_resolution",
                                      "context_length", "vocab_size"};
  return ends_with(name, ".num_batches_tracked") || ends_with(name, "position_ids") ||
         is_one_of(name, names, sizeof names / sizeof *names);
}

bool pl_interchange_is_classifier(const char *name) {
  static const char *const names[] = {"fc.weight", "fc.bias"};
  return is_one_of(name, names, sizeof names / sizeof *names);
}
