#include "runtime/config/keys.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "runtime/config/text.h"

/* One line of the table each; a key's name is the path of its member in pl_config. The ranges bound
 * what the program can hold or use at all; what is sensible is left to the user. */
#define MEMBER(path) #path, offsetof(pl_config, path)
#define TEXT(path, initial, help) \
  { MEMBER(path), PL_KEY_TEXT, PL_KEY_ONE, initial, 0, 0, NULL, NULL, 0, help }
#define FLAG(path, initial, help) \
  { MEMBER(path), PL_KEY_BOOL, PL_KEY_ONE, initial, 0, 0, NULL, NULL, 0, help }
#define CHOICE(path, initial, choices, help) \
  { MEMBER(path), PL_KEY_CHOICE, PL_KEY_ONE, initial, 0, 0, choices, NULL, 0, help }
#define INTEGER(path, initial, low, high, help) \
  { MEMBER(path), PL_KEY_INTEGER, PL_KEY_ONE, initial, low, high, NULL, NULL, 0, help }
#define INTEGERS(path, initial, low, high, help) \
  { MEMBER(path), PL_KEY_INTEGER, PL_KEY_LIST, initial, low, high, NULL, NULL, 0, help }
#define REAL(path, initial, low, high, help) \
  { MEMBER(path), PL_KEY_REAL, PL_KEY_ONE, initial, low, high, NULL, NULL, 0, help }
#define REALS3(path, initial, low, high, help) \
  { MEMBER(path), PL_KEY_REAL, PL_KEY_TRIPLE, initial, low, high, NULL, NULL, 0, help }
#define DURATION(path, initial, low, high, help) \
  { MEMBER(path), PL_KEY_DURATION, PL_KEY_ONE, initial, low, high, NULL, NULL, 0, help }
#define DURATIONS(path, initial, low, high, help) \
  { MEMBER(path), PL_KEY_DURATION, PL_KEY_LIST, initial, low, high, NULL, NULL, 0, help }
/* An integer for which a word stands for one value. */
#define WORD(path, initial, low, high, word, value, help) \
  { MEMBER(path), PL_KEY_INTEGER, PL_KEY_ONE, initial, low, high, NULL, word, value, help }

#define STEPS_MAX 1e9
#define FROM_PRESET NULL

const pl_key pl_keys[] = {
    TEXT(run.name, "run", "name of the run, for people and for its folder"),
    TEXT(run.dir, "", "folder of the run; empty: runs/NAME"),
    INTEGER(run.seed, "1", 0, INFINITY, "seed of weights, order and augmentation"),
    FLAG(run.overwrite, "false", "replace an earlier run in run.dir"),
    WORD(run.threads, "auto", 0, 4096, "auto", 0, "compute threads per rank"),

    TEXT(data.train, "", "dataset folder to train on"),
    TEXT(data.val, "", "dataset folder to evaluate on"),
    WORD(data.workers, "auto", 0, 1024, "auto", 0, "loader threads per rank"),
    INTEGER(data.shuffle_block, "256", 1, 1e9, "consecutive samples kept together while shuffling"),
    INTEGER(data.shuffle_window, "256", 1, 1e6, "blocks among which samples are mixed"),
    INTEGER(data.skip_limit, "100", 0, 1e9, "corrupt samples tolerated per rank"),

    CHOICE(model.encoder, "resnet18", "resnet18|resnet34|resnet50", "the encoder"),
    CHOICE(model.stem, "cifar", "imagenet|cifar", "first layers: 7x7 stride 2 and pooling, or 3x3"),
    INTEGER(model.width, "64", 1, 4096, "channels of the first stage"),
    INTEGER(model.image_size, "32", 8, 4096, "side of the views in pixels"),
    FLAG(model.zero_init_residual, "false", "gain 0 in the last norm of each residual branch"),
    CHOICE(model.norm.kind, "batch", "batch", "normalisation layer"),
    CHOICE(model.norm.scope, "global", "micro|rank|global", "samples that share its statistics"),
    REAL(model.norm.momentum, "0.1", 0, 1, "share of the newest batch in running statistics"),
    REAL(model.norm.epsilon, "1e-5", 1e-12, 1, "added to the variance"),

    CHOICE(method.name, "simclr", "simclr", "the method"),
    INTEGERS(method.projector, "512, 128", 1, 65536,
             "widths of the projector's layers; the last is the embedding's"),
    FLAG(method.projector_norm, "true", "batch norm after the projector's hidden layers"),
    REAL(method.temperature, "0.2", 1e-3, 100, "temperature of the loss"),

    CHOICE(augment.preset, "simclr-cifar", "simclr-cifar|simclr-imagenet|none",
           "sets the other keys of this group first"),
    REAL(augment.crop_min, FROM_PRESET, 1e-4, 1, "least share of the area in a crop"),
    REAL(augment.crop_max, FROM_PRESET, 1e-4, 1, "largest share of the area in a crop"),
    REAL(augment.aspect_min, FROM_PRESET, 0.01, 100, "least width / height of a crop"),
    REAL(augment.aspect_max, FROM_PRESET, 0.01, 100, "largest width / height of a crop"),
    CHOICE(augment.interpolation, FROM_PRESET, "bilinear|bicubic", "how crops are resized"),
    REAL(augment.flip, FROM_PRESET, 0, 1, "probability of a left-right flip"),
    REAL(augment.jitter, FROM_PRESET, 0, 1, "probability of colour jitter"),
    REAL(augment.brightness, FROM_PRESET, 0, 10, "jitter: factor within 1-x ... 1+x"),
    REAL(augment.contrast, FROM_PRESET, 0, 10, "jitter: factor within 1-x ... 1+x"),
    REAL(augment.saturation, FROM_PRESET, 0, 10, "jitter: factor within 1-x ... 1+x"),
    REAL(augment.hue, FROM_PRESET, 0, 0.5, "jitter: shift within -x ... x turns"),
    REAL(augment.grey, FROM_PRESET, 0, 1, "probability of grey"),
    REAL(augment.blur, FROM_PRESET, 0, 1, "probability of Gaussian blur"),
    REAL(augment.blur_sigma_min, FROM_PRESET, 0.01, 100, "least sigma in pixels"),
    REAL(augment.blur_sigma_max, FROM_PRESET, 0.01, 100, "largest sigma in pixels"),
    WORD(augment.blur_kernel, FROM_PRESET, 0, 255, "auto", 0,
         "side of the blur kernel, odd; auto: a tenth of the view"),
    REAL(augment.solarize, FROM_PRESET, 0, 1, "probability of inverting the bright half"),
    REAL(augment.centre_ratio, FROM_PRESET, 0.1, 1, "evaluation: view / shorter side, then crop"),
    REALS3(augment.mean, FROM_PRESET, -1, 2, "of red, green, blue in 0 ... 1, subtracted"),
    REALS3(augment.std, FROM_PRESET, 1e-3, 10, "of red, green, blue, divided by"),

    INTEGER(batch.global, "256", 2, 1 << 24, "samples per step over all ranks"),
    INTEGER(batch.micro, "64", 1, 65536, "samples per micro-batch"),
    CHOICE(batch.activations, "keep", "keep|recompute",
           "until the backward pass, or computed again"),

    WORD(loss.tile_rows, "auto", 0, 65536, "auto", 0, "rows of a tile of similarities"),
    WORD(loss.tile_cols, "auto", 0, 65536, "auto", 0, "columns of a tile of similarities"),

    INTEGER(comm.bucket_bytes, "8388608", 4096, 1LL << 40, "bytes of gradients reduced together"),

    CHOICE(optim.name, "lars", "sgd|lars|adamw|lamb", "the optimizer"),
    REAL(optim.lr, "0.4", 0, 1e6, "learning rate after warm-up"),
    CHOICE(optim.scaling, "none", "none|linear|sqrt",
           "lr as it is, times batch/256, or times the batch's square root"),
    REAL(optim.momentum, "0.9", 0, 1, "of sgd and lars"),
    FLAG(optim.nesterov, "false", "Nesterov momentum in sgd and lars"),
    REAL(optim.weight_decay, "1e-4", 0, 100, "not on biases and gains"),
    REAL(optim.beta1, "0.9", 0, 0.999999, "adamw, lamb: decay of the first moment"),
    REAL(optim.beta2, "0.999", 0, 0.999999, "adamw, lamb: decay of the second moment"),
    REAL(optim.epsilon, "1e-8", 1e-20, 1, "adamw, lamb: added to the denominator"),
    REAL(optim.trust, "0.001", 1e-9, 1e3, "lars: trust coefficient"),
    DURATION(optim.warmup, "10 epochs", 0, STEPS_MAX, "linear rise of the rate"),
    CHOICE(optim.schedule, "cosine", "constant|cosine|linear|step", "the rate after warm-up"),
    REAL(optim.final_ratio, "0", 0, 1, "cosine, linear: last rate / lr"),
    REAL(optim.gamma, "0.1", 0, 1, "step: factor at each milestone"),
    DURATIONS(optim.milestones, "", 0, STEPS_MAX, "step: when the rate falls"),

    REAL(train.epochs, "100", 0, STEPS_MAX, "length in epochs, where train.steps is auto"),
    WORD(train.steps, "auto", -1, STEPS_MAX, "auto", -1, "length in steps; auto: train.epochs"),
    CHOICE(train.precision, "auto", "auto|f32|bf16", "of the compute; the state is f32"),
    WORD(train.diagnostics, "10", 0, STEPS_MAX, "never", 0, "steps between uniformity figures"),

    INTEGER(eval.micro, "256", 1, 65536, "images per forward pass"),
    INTEGER(eval.knn.k, "200", 1, 1e6, "neighbours that vote"),
    REAL(eval.knn.temperature, "0.07", 1e-3, 100, "of the votes' weights"),
};

const char *const pl_groups[] = {"run",     "data",  "model",   "model.norm", "method",
                                 "augment", "batch", "loss",    "comm",       "optim",
                                 "train",   "eval",  "eval.knn"};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
_Static_assert(COUNT(pl_keys) <= PL_KEY_MAX, "raise PL_KEY_MAX");
_Static_assert(COUNT(pl_groups) <= PL_GROUP_MAX, "raise PL_GROUP_MAX");
const int pl_key_count = COUNT(pl_keys), pl_group_count = COUNT(pl_groups);

int pl_key_find(const char *name) {
  for (int k = 0; k < pl_key_count; k++) {
    if (strcmp(pl_keys[k].name, name) == 0) return k;
  }
  return -1;
}

int pl_group_find(const char *name) {
  for (int k = 0; k < pl_group_count; k++) {
    if (strcmp(pl_groups[k], name) == 0) return k;
  }
  return -1;
}

int pl_group_head(const char *group) {
  size_t length = strlen(group);
  for (int k = 0; k < pl_key_count; k++) {
    const char *name = pl_keys[k].name;
    if (strncmp(name, group, length) != 0 || name[length] != '.') continue;
    if (strcmp(name + length, ".preset") == 0 || strcmp(name + length, ".name") == 0) return k;
  }
  return -1;
}

static const char *last_part(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot ? dot + 1 : name;
}

/* Whether so many edits of a word of that length look like a slip of the pen. */
static bool is_slip(int edits, const char *word) { return 3 * edits <= (int)strlen(word); }

pl_status pl_key_unknown(const char *name) {
  /* Both the whole name and its last part count: "train.lr" is nearer to "optim.lr" than to
   * "train.steps". */
  const char *part = last_part(name), *nearest = "";
  int least = INT_MAX;
  bool slip = false;
  for (int k = 0; k < pl_key_count; k++) {
    int whole_edits = pl_edit_distance(name, pl_keys[k].name);
    int part_edits = pl_edit_distance(part, last_part(pl_keys[k].name));
    if (whole_edits + part_edits >= least) continue;
    least = whole_edits + part_edits;
    nearest = pl_keys[k].name;
    slip = is_slip(whole_edits, name) || is_slip(part_edits, part);
  }
  char shown[PL_SHOWN_TEXT];
  pl_shown(name, shown);
  if (slip) return PL_FAIL(PL_E_USAGE, "unknown key '%s'; did you mean '%s'?", shown, nearest);
  return PL_FAIL(PL_E_USAGE,
                 "unknown key '%s'; the nearest is '%s', and `plenum config keys` lists all", shown,
                 nearest);
}
