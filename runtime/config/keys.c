#include "runtime/config/keys.h"

#include <limits.h>
#include <math.h>
#include <string.h>

#include "runtime/config/text.h"

/* One line of the table each; a key's name is the path of its member in pl_config. The ranges bound
 * what the program can hold or use at all; what is sensible is left to the user.
 *
 * FREE: may differ from one start of a run to the next, as it concerns only where and how the run
 * goes on, what is saved and what is judged. FIXED: the numbers of the training depend on it. */
#define FREE true
#define FIXED false
#define MEMBER(path) #path, offsetof(pl_config, path)
#define TEXT(free, path, initial, help) \
  { MEMBER(path), free, PL_KEY_TEXT, PL_KEY_ONE, initial, 0, 0, NULL, NULL, 0, help }
#define FLAG(free, path, initial, help) \
  { MEMBER(path), free, PL_KEY_BOOL, PL_KEY_ONE, initial, 0, 0, NULL, NULL, 0, help }
#define CHOICE(free, path, initial, choices, help) \
  { MEMBER(path), free, PL_KEY_CHOICE, PL_KEY_ONE, initial, 0, 0, choices, NULL, 0, help }
#define CHOICES(free, path, initial, choices, help) \
  { MEMBER(path), free, PL_KEY_CHOICE, PL_KEY_LIST, initial, 0, 0, choices, NULL, 0, help }
#define NUMBER(free, path, type, shape, initial, low, high, help) \
  { MEMBER(path), free, type, shape, initial, low, high, NULL, NULL, 0, help }
#define INTEGER(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_INTEGER, PL_KEY_ONE, initial, low, high, help)
#define INTEGERS(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_INTEGER, PL_KEY_LIST, initial, low, high, help)
#define REAL(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_REAL, PL_KEY_ONE, initial, low, high, help)
#define REALS(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_REAL, PL_KEY_LIST, initial, low, high, help)
#define REALS3(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_REAL, PL_KEY_TRIPLE, initial, low, high, help)
#define DURATION(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_DURATION, PL_KEY_ONE, initial, low, high, help)
#define DURATIONS(free, path, initial, low, high, help) \
  NUMBER(free, path, PL_KEY_DURATION, PL_KEY_LIST, initial, low, high, help)
/* An integer for which a word stands for one value. */
#define WORD(free, path, initial, low, high, word, value, help) \
  { MEMBER(path), free, PL_KEY_INTEGER, PL_KEY_ONE, initial, low, high, NULL, word, value, help }
/* Seconds; "none" stands for 0. */
#define TIME(free, path, initial, low, high, help) \
  { MEMBER(path), free, PL_KEY_TIME, PL_KEY_ONE, initial, low, high, NULL, "none", 0, help }

#define STEPS_MAX 1e9
#define TIME_MAX (10000 * 86400.0)
#define FROM_PRESET NULL

const pl_key pl_keys[] = {
    TEXT(FREE, run.name, "run", "name of the run, for people and for its folder"),
    TEXT(FREE, run.dir, "", "folder of the run; empty: runs/NAME"),
    INTEGER(FIXED, run.seed, "1", 0, INFINITY, "seed of weights, order and augmentation"),
    FLAG(FREE, run.overwrite, "false", "replace an earlier run in run.dir"),
    CHOICE(FREE, run.resume, "never", "never|auto",
           "auto: go on from the newest whole checkpoint in run.dir, or start"),
    FLAG(FREE, run.resume_force, "false",
         "go on even where keys that shape the training were changed"),
    TIME(FREE, run.time_limit, "none", 1, TIME_MAX, "save and stop after so long"),
    TIME(FREE, run.watchdog, "10 min", 1, TIME_MAX,
         "end a run whose ranks show no sign of life for so long"),
    CHOICE(FREE, run.device, "auto", "auto|cpu|cuda", "auto: a GPU where there is one"),
    WORD(FREE, run.gpu, "auto", 0, 1023, "auto", -1,
         "cuda: the GPU, counted from 0; auto: ranks of a host take its GPUs in turn"),
    FLAG(FREE, run.cuda_graphs, "true", "on a GPU: record the work of a step once and replay it"),
    FLAG(FREE, run.time_apart, "false",
         "on a GPU: wait for each part of a step, so that the times of parts are its own; slower"),
    WORD(FREE, run.threads, "auto", 0, 4096, "auto", 0, "compute threads per rank"),

    TEXT(FREE, data.train, "", "dataset folder to train on"),
    TEXT(FREE, data.val, "", "dataset folder to evaluate on"),
    WORD(FREE, data.workers, "auto", 0, 1024, "auto", 0, "loader threads per rank"),
    INTEGER(FIXED, data.shuffle_block, "256", 1, 1e9,
            "consecutive samples kept together while shuffling"),
    INTEGER(FIXED, data.shuffle_window, "256", 1, 1e6, "blocks among which samples are mixed"),
    INTEGER(FREE, data.skip_limit, "100", 0, 1e9, "corrupt samples tolerated per rank"),
    TEXT(FREE, data.vocabulary, "", "clip, siglip: file of byte-pair merges, plain or gzip"),
    TEXT(FIXED, data.vocabulary_hash, "",
         "clip, siglip: the merges that the vocabulary must hold; empty: filled in by the run"),

    CHOICE(FIXED, model.encoder, "resnet18",
           "resnet18|resnet34|resnet50|vit_tiny|vit_small|vit_base|vit_large", "the encoder"),
    CHOICE(FIXED, model.stem, "cifar", "imagenet|cifar",
           "first layers: 7x7 stride 2 and pooling, or 3x3"),
    WORD(FIXED, model.width, "auto", 0, 8192, "auto", 0,
         "channels of the first stage (resnet; auto: 64) or of a token (vit; auto: by its size)"),
    INTEGER(FIXED, model.image_size, "32", 8, 4096, "side of the views in pixels"),
    INTEGER(FIXED, model.patch, "16", 1, 1024, "vit: side of a patch in pixels"),
    WORD(FIXED, model.layers, "auto", 0, 1024, "auto", 0, "vit: blocks; auto: by its size"),
    WORD(FIXED, model.heads, "auto", 0, 1024, "auto", 0, "vit: heads; auto: by its size"),
    CHOICE(FIXED, model.gelu, "exact", "exact|quick", "of transformers; OpenAI's CLIP is quick"),
    REAL(FIXED, model.dropout, "0", 0, 0.99, "of transformers: share of each branch dropped"),
    FLAG(FIXED, model.zero_init_residual, "false",
         "gain 0 in the last norm of each residual branch"),
    CHOICE(FIXED, model.norm.kind, "batch", "batch", "normalisation layer"),
    CHOICE(FIXED, model.norm.scope, "global", "micro|rank|global",
           "samples that share its statistics"),
    REAL(FIXED, model.norm.momentum, "0.1", 0, 1,
         "share of the newest batch in running statistics"),
    REAL(FIXED, model.norm.epsilon, "1e-5", 1e-12, 1, "added to the variance"),

    INTEGER(FIXED, model.text.width, "512", 1, 8192, "text transformer: channels of a token"),
    INTEGER(FIXED, model.text.layers, "12", 1, 1024, "text transformer: blocks"),
    INTEGER(FIXED, model.text.heads, "8", 1, 1024, "text transformer: heads"),
    INTEGER(FIXED, model.text.context, "77", 3, 65536, "tokens of a text, start and end included"),

    CHOICE(FIXED, method.name, "simclr", "simclr|clip|siglip", "the method"),
    INTEGERS(FIXED, method.projector, "512, 128", 1, 65536,
             "widths of the projector's layers; the last is the embedding's"),
    FLAG(FIXED, method.projector_norm, "true", "batch norm after the projector's hidden layers"),
    REAL(FIXED, method.temperature, "0.2", 1e-3, 100,
         "temperature of the loss; clip, siglip: at the start"),
    INTEGER(FIXED, method.embedding, "512", 1, 65536,
            "clip, siglip: width of the space that images and texts share"),
    REAL(FIXED, method.bias, "-10", -100, 100, "siglip: bias of the logits at the start"),
    REAL(FIXED, method.scale_max, "100", 1, 1e6,
         "clip, siglip: largest 1 / temperature that is learned"),

    CHOICE(FIXED, augment.preset, "simclr-cifar", "simclr-cifar|simclr-imagenet|none",
           "sets the other keys of this group first"),
    REAL(FIXED, augment.crop_min, FROM_PRESET, 1e-4, 1, "least share of the area in a crop"),
    REAL(FIXED, augment.crop_max, FROM_PRESET, 1e-4, 1, "largest share of the area in a crop"),
    REAL(FIXED, augment.aspect_min, FROM_PRESET, 0.01, 100, "least width / height of a crop"),
    REAL(FIXED, augment.aspect_max, FROM_PRESET, 0.01, 100, "largest width / height of a crop"),
    CHOICE(FIXED, augment.interpolation, FROM_PRESET, "bilinear|bicubic", "how crops are resized"),
    REAL(FIXED, augment.flip, FROM_PRESET, 0, 1, "probability of a left-right flip"),
    REAL(FIXED, augment.jitter, FROM_PRESET, 0, 1, "probability of colour jitter"),
    REAL(FIXED, augment.brightness, FROM_PRESET, 0, 10, "jitter: factor within 1-x ... 1+x"),
    REAL(FIXED, augment.contrast, FROM_PRESET, 0, 10, "jitter: factor within 1-x ... 1+x"),
    REAL(FIXED, augment.saturation, FROM_PRESET, 0, 10, "jitter: factor within 1-x ... 1+x"),
    REAL(FIXED, augment.hue, FROM_PRESET, 0, 0.5, "jitter: shift within -x ... x turns"),
    REAL(FIXED, augment.grey, FROM_PRESET, 0, 1, "probability of grey"),
    REAL(FIXED, augment.blur, FROM_PRESET, 0, 1, "probability of Gaussian blur"),
    REAL(FIXED, augment.blur_sigma_min, FROM_PRESET, 0.01, 100, "least sigma in pixels"),
    REAL(FIXED, augment.blur_sigma_max, FROM_PRESET, 0.01, 100, "largest sigma in pixels"),
    WORD(FIXED, augment.blur_kernel, FROM_PRESET, 0, 255, "auto", 0,
         "side of the blur kernel, odd; auto: a tenth of the view"),
    REAL(FIXED, augment.solarize, FROM_PRESET, 0, 1, "probability of inverting the bright half"),
    REAL(FIXED, augment.centre_ratio, FROM_PRESET, 0.1, 1,
         "evaluation: view / shorter side, then crop"),
    REALS3(FIXED, augment.mean, FROM_PRESET, -1, 2, "of red, green, blue in 0 ... 1, subtracted"),
    REALS3(FIXED, augment.std, FROM_PRESET, 1e-3, 10, "of red, green, blue, divided by"),
    CHOICE(FREE, augment.device, "auto", "auto|cpu",
           "who makes the views; auto: what run.device stands for"),

    INTEGER(FIXED, batch.global, "256", 2, 1 << 24, "samples per step over all ranks"),
    INTEGER(FIXED, batch.micro, "64", 1, 65536, "samples per micro-batch"),
    WORD(
        FIXED, batch.parts, "auto", 0, 1 << 20, "auto", 0,
        "most ranks with the same bits as one; each doubling holds one more gradient. auto: to 64"),
    CHOICE(FREE, batch.activations, "keep", "keep|recompute",
           "until the backward pass, or computed again"),

    WORD(FIXED, loss.tile_rows, "auto", 0, 65536, "auto", 0, "rows of a tile of similarities"),
    WORD(FIXED, loss.tile_cols, "auto", 0, 65536, "auto", 0, "columns of a tile of similarities"),

    INTEGER(FREE, comm.bucket_bytes, "8388608", 4096, 1LL << 40,
            "bytes of gradients reduced together"),
    CHOICE(FREE, comm.transport, "auto", "auto|nccl|host",
           "between GPUs; auto: by NCCL where each rank has one of its own, else by the hosts"),

    CHOICE(FIXED, optim.name, "lars", "sgd|lars|adamw|lamb", "the optimizer"),
    REAL(FIXED, optim.lr, "0.4", 0, 1e6, "learning rate after warm-up"),
    CHOICE(FIXED, optim.scaling, "none", "none|linear|sqrt",
           "lr as it is, times batch/256, or times the batch's square root"),
    REAL(FIXED, optim.momentum, "0.9", 0, 1, "of sgd and lars"),
    FLAG(FIXED, optim.nesterov, "false", "Nesterov momentum in sgd and lars"),
    REAL(FIXED, optim.weight_decay, "1e-4", 0, 100, "not on biases and gains"),
    REAL(FIXED, optim.beta1, "0.9", 0, 0.999999, "adamw, lamb: decay of the first moment"),
    REAL(FIXED, optim.beta2, "0.999", 0, 0.999999, "adamw, lamb: decay of the second moment"),
    REAL(FIXED, optim.epsilon, "1e-8", 1e-20, 1, "adamw, lamb: added to the denominator"),
    REAL(FIXED, optim.trust, "0.001", 1e-9, 1e3, "lars: trust coefficient"),
    DURATION(FIXED, optim.warmup, "10 epochs", 0, STEPS_MAX, "linear rise of the rate"),
    CHOICE(FIXED, optim.schedule, "cosine", "constant|cosine|linear|step",
           "the rate after warm-up"),
    REAL(FIXED, optim.final_ratio, "0", 0, 1, "cosine, linear: last rate / lr"),
    REAL(FIXED, optim.gamma, "0.1", 0, 1, "step: factor at each milestone"),
    DURATIONS(FIXED, optim.milestones, "", 0, STEPS_MAX, "step: when the rate falls"),
    REAL(FIXED, optim.clip, "0", 0, 1e9, "largest norm of the whole gradient; 0: any"),
    REAL(FIXED, optim.scale_rate, "1", 0, 1e6,
         "clip, siglip: rate of temperature and bias, times lr"),
    REAL(FIXED, optim.average, "0", 0, 0.9999999,
         "decay of the running average of the weights; 0: none"),

    REAL(FIXED, train.epochs, "100", 0, STEPS_MAX, "length in epochs, where train.steps is auto"),
    WORD(FIXED, train.steps, "auto", -1, STEPS_MAX, "auto", -1,
         "length in steps; auto: train.epochs"),
    CHOICE(FIXED, train.precision, "auto", "auto|f32|bf16", "of the compute; the state is f32"),
    FLAG(FIXED, train.tf32, "false", "cuda: products of f32 values by TF32, of 10 bits"),
    WORD(FREE, train.diagnostics, "10", 0, STEPS_MAX, "never", 0,
         "steps between uniformity figures"),
    INTEGER(FREE, train.nonfinite_limit, "10", 0, 1e9,
            "steps with a loss or gradient that is not finite, passed over before the run ends"),

    DURATION(FREE, checkpoint.every, "1 epoch", 0, STEPS_MAX,
             "between checkpoints; 0: only at the end"),
    INTEGER(FREE, checkpoint.keep, "3", 1, 1e6, "newest checkpoints kept"),
    CHOICE(FREE, checkpoint.best, "none", "none|loss|knn|linear|zeroshot|retrieval",
           "the best by this is kept as well"),

    DURATION(FREE, eval.every, "0 steps", 0, STEPS_MAX, "between evaluations in training; 0: none"),
    CHOICES(FREE, eval.kind, "", "knn|linear|zeroshot|retrieval",
            "what is judged during training; empty: knn, or retrieval where texts are read"),
    CHOICE(FREE, eval.weights, "trained", "trained|average", "which weights are judged"),
    INTEGER(FREE, eval.micro, "256", 1, 65536, "images or texts per forward pass"),
    TEXT(FREE, eval.templates, "",
         "zeroshot: file of a text a line, {} for a class's name; empty: a photo of a {}."),
    INTEGER(FREE, eval.knn.k, "200", 1, 1e6, "neighbours that vote"),
    REAL(FREE, eval.knn.temperature, "0.07", 1e-3, 100, "of the votes' weights"),
    REALS(FREE, eval.linear.rates, "0.01, 0.03, 0.1, 0.3, 1, 3", 1e-9, 1e6,
          "learning rates, all tried at once"),
    REAL(FREE, eval.linear.epochs, "100", 1e-3, 1e6, "length of the classifier's training"),
    INTEGER(FREE, eval.linear.batch, "512", 1, 1 << 24, "samples per step of the classifier"),
    REAL(FREE, eval.linear.momentum, "0.9", 0, 1, "of the classifier's SGD"),
    REAL(FREE, eval.linear.weight_decay, "0", 0, 100, "of the classifier"),
    REAL(FREE, eval.linear.holdout, "0.1", 0, 0.9,
         "share of the samples that chooses among the rates"),
    FLAG(FREE, eval.linear.augment, "false", "crops and flips, embedded anew each epoch"),

    INTEGER(FREE, report.samples, "2000", 0, 100000,
            "samples pictured in the report; 0: no pictures"),
};

const char *const pl_groups[] = {"run",         "data",    "model",      "model.norm", "model.text",
                                 "method",      "augment", "batch",      "loss",       "comm",
                                 "optim",       "train",   "checkpoint", "eval",       "eval.knn",
                                 "eval.linear", "report"};

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
