/* The configuration of a run: one table of keys drives the YAML reader, the overrides on the
 * command line, the help, and the effective configuration that a run saves.
 *
 * Each key has a type, a default, a range and a help text (config/keys.c). YAML groups nest; a
 * key's full name is dotted ("model.norm.scope"). A group that has a key "preset" or "name" may be
 * given as a plain word: `augment: simclr-cifar` means `augment.preset: simclr-cifar`. An unknown
 * key is an error that names the nearest known one, with file, line and column. */
#ifndef PL_CONFIG_CONFIG_H
#define PL_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/base/status.h"

enum { PL_CONFIG_TEXT = 512, PL_CONFIG_LIST = 16 };

/* A length of training: `10 epochs`, `500 steps`, or a bare number of steps. */
typedef struct pl_duration {
  double amount;
  bool epochs;
} pl_duration;

typedef struct pl_int_list {
  int count;
  int64_t value[PL_CONFIG_LIST];
} pl_int_list;

typedef struct pl_duration_list {
  int count;
  pl_duration value[PL_CONFIG_LIST];
} pl_duration_list;

typedef struct pl_real_list {
  int count;
  double value[PL_CONFIG_LIST];
} pl_real_list;

/* Values of enumerated keys; the words are those of the table. */
typedef enum {
  PL_CFG_ENCODER_RESNET18,
  PL_CFG_ENCODER_RESNET34,
  PL_CFG_ENCODER_RESNET50,
  PL_CFG_ENCODER_VIT_TINY,
  PL_CFG_ENCODER_VIT_SMALL,
  PL_CFG_ENCODER_VIT_BASE,
  PL_CFG_ENCODER_VIT_LARGE
} pl_cfg_encoder;
typedef enum { PL_CFG_GELU_EXACT, PL_CFG_GELU_QUICK } pl_cfg_gelu;
typedef enum { PL_CFG_STEM_IMAGENET, PL_CFG_STEM_CIFAR } pl_cfg_stem;
typedef enum { PL_CFG_NORM_BATCH } pl_cfg_norm;
typedef enum { PL_CFG_SCOPE_MICRO, PL_CFG_SCOPE_RANK, PL_CFG_SCOPE_GLOBAL } pl_cfg_scope;
typedef enum { PL_CFG_METHOD_SIMCLR, PL_CFG_METHOD_CLIP, PL_CFG_METHOD_SIGLIP } pl_cfg_method;
typedef enum { PL_CFG_ACTIVATIONS_KEEP, PL_CFG_ACTIVATIONS_RECOMPUTE } pl_cfg_activations;
typedef enum {
  PL_CFG_PRECISION_AUTO,
  PL_CFG_PRECISION_F32,
  PL_CFG_PRECISION_BF16
} pl_cfg_precision;
typedef enum {
  PL_CFG_OPTIM_SGD,
  PL_CFG_OPTIM_LARS,
  PL_CFG_OPTIM_ADAMW,
  PL_CFG_OPTIM_LAMB
} pl_cfg_optim;
typedef enum {
  PL_CFG_SCHEDULE_CONSTANT,
  PL_CFG_SCHEDULE_COSINE,
  PL_CFG_SCHEDULE_LINEAR,
  PL_CFG_SCHEDULE_STEP
} pl_cfg_schedule;
typedef enum { PL_CFG_SCALING_NONE, PL_CFG_SCALING_LINEAR, PL_CFG_SCALING_SQRT } pl_cfg_scaling;
typedef enum { PL_CFG_INTERPOLATION_BILINEAR, PL_CFG_INTERPOLATION_BICUBIC } pl_cfg_interpolation;
typedef enum { PL_CFG_DEVICE_AUTO, PL_CFG_DEVICE_CPU, PL_CFG_DEVICE_CUDA } pl_cfg_device;
typedef enum {
  PL_CFG_TRANSPORT_AUTO,
  PL_CFG_TRANSPORT_NCCL,
  PL_CFG_TRANSPORT_HOST
} pl_cfg_transport;
typedef enum { PL_CFG_AUGMENT_DEVICE_AUTO, PL_CFG_AUGMENT_DEVICE_CPU } pl_cfg_augment_device;
typedef enum { PL_CFG_RESUME_NEVER, PL_CFG_RESUME_AUTO } pl_cfg_resume;
typedef enum {
  PL_CFG_BEST_NONE,
  PL_CFG_BEST_LOSS,
  PL_CFG_BEST_KNN, /* from here on in the order of pl_cfg_eval */
  PL_CFG_BEST_LINEAR,
  PL_CFG_BEST_ZEROSHOT,
  PL_CFG_BEST_RETRIEVAL
} pl_cfg_best;
typedef enum {
  PL_CFG_EVAL_KNN,
  PL_CFG_EVAL_LINEAR,
  PL_CFG_EVAL_ZEROSHOT,
  PL_CFG_EVAL_RETRIEVAL
} pl_cfg_eval;
typedef enum { PL_CFG_WEIGHTS_TRAINED, PL_CFG_WEIGHTS_AVERAGE } pl_cfg_weights;
typedef enum { PL_CFG_AUGMENT_CIFAR, PL_CFG_AUGMENT_IMAGENET, PL_CFG_AUGMENT_NONE } pl_cfg_augment;

typedef struct pl_config {
  struct {
    char name[PL_CONFIG_TEXT], dir[PL_CONFIG_TEXT];
    int64_t seed;
    bool overwrite;              /* replace an earlier run in run.dir */
    int64_t device;              /* pl_cfg_device */
    int64_t gpu;                 /* of all ranks; -1: auto */
    bool cuda_graphs;            /* record steps */
    bool time_apart;             /* wait for the device after each part of a step */
    int64_t threads;             /* compute threads per rank; 0: auto */
    int64_t resume;              /* pl_cfg_resume */
    bool resume_force;           /* go on with a changed configuration */
    double time_limit, watchdog; /* seconds; 0: none */
  } run;
  struct {
    char train[PL_CONFIG_TEXT], val[PL_CONFIG_TEXT]; /* dataset folders */
    int64_t workers;                                 /* loader threads per rank; 0: auto */
    int64_t shuffle_block, shuffle_window;
    int64_t skip_limit;                   /* corrupt samples tolerated per rank */
    char vocabulary[PL_CONFIG_TEXT];      /* file of byte-pair merges */
    char vocabulary_hash[PL_CONFIG_TEXT]; /* of the merges; empty: any */
  } data;
  struct {
    int64_t encoder, stem; /* pl_cfg_encoder, pl_cfg_stem: enumerated keys are int64_t */
    int64_t width;         /* channels of the first stage, or of a token; 0: the encoder's own */
    int64_t image_size;    /* side of the views */
    int64_t patch;         /* side of a vit's patches */
    int64_t layers, heads; /* of a vit; 0: the encoder's own */
    int64_t gelu;          /* pl_cfg_gelu */
    double dropout;        /* of what the branches of transformers add */
    struct {
      int64_t width, layers, heads, context;
    } text;
    struct {
      int64_t kind, scope;
      double momentum, epsilon;
    } norm;
    bool zero_init_residual; /* gain 0 in the last norm of each residual branch */
  } model;
  struct {
    int64_t name;
    pl_int_list projector; /* widths of its layers; the last is the embedding's */
    bool projector_norm;   /* batch norm after its hidden layers */
    double temperature;    /* learned by clip and siglip, which begin with it */
    int64_t embedding;     /* width of the space that images and texts share */
    double bias;           /* siglip begins with it */
    double scale_max;      /* largest 1 / temperature that is learned */
  } method;
  struct {
    int64_t preset;
    double crop_min, crop_max, aspect_min, aspect_max;
    int64_t interpolation;
    double flip, jitter, brightness, contrast, saturation, hue, grey;
    double blur, blur_sigma_min, blur_sigma_max;
    int64_t blur_kernel;
    double solarize, centre_ratio;
    double mean[3], std[3];
    int64_t device; /* pl_cfg_augment_device */
  } augment;
  struct {
    int64_t global, micro; /* samples */
    int64_t parts;         /* whose gradients are summed apart; 0: by the number of micro-batches */
    int64_t activations;
  } batch;
  struct {
    int64_t tile_rows, tile_cols; /* of the pair sweep; 0: default */
  } loss;
  struct {
    int64_t bucket_bytes; /* gradients reduced together */
    int64_t transport;    /* pl_cfg_transport */
  } comm;
  struct {
    int64_t name;
    double lr;
    int64_t scaling;
    double momentum;
    bool nesterov;
    double weight_decay, beta1, beta2, epsilon, trust;
    pl_duration warmup;
    int64_t schedule;
    double final_ratio, gamma;
    pl_duration_list milestones;
    double clip;       /* largest norm of the gradient; 0: any */
    double scale_rate; /* of the learned temperature and bias, times lr */
    double average;    /* decay of the running average of the weights; 0: none */
  } optim;
  struct {
    double epochs; /* used when steps is -1 */
    int64_t steps; /* -1: by epochs; 0 saves the untrained state */
    int64_t precision;
    bool tf32;               /* on a GPU: f32 products of fewer bits */
    int64_t diagnostics;     /* uniformity every this many steps; 0: never */
    int64_t nonfinite_limit; /* steps that may be passed over */
  } train;
  struct {
    pl_duration every; /* 0: only at the end */
    int64_t keep;      /* newest ones kept */
    int64_t best;      /* pl_cfg_best */
  } checkpoint;
  struct {
    pl_duration every; /* 0: not during training */
    pl_int_list kind;  /* pl_cfg_eval: what is judged during training; see pl_config_judges */
    int64_t weights;   /* pl_cfg_weights */
    int64_t micro;     /* images or texts per forward in evaluation */
    char templates[PL_CONFIG_TEXT]; /* file for zeroshot; empty: one of our own */
    struct {
      int64_t k;
      double temperature;
    } knn;
    struct {
      pl_real_list rates; /* learning rates, all tried at once */
      double epochs;
      int64_t batch;
      double momentum, weight_decay;
      double holdout; /* share of the training samples that chooses among the rates */
      bool augment;   /* crops and flips, embedded anew each epoch */
    } linear;
  } eval;
  struct {
    int64_t samples; /* whose embeddings the report pictures; 0: no pictures */
  } report;
} pl_config;

/* Sets every key to its default. */
void pl_config_defaults(pl_config *config);

/* Reads YAML from memory over the values that `config` holds; `name` is the file's, for messages.
 * PL_E_USAGE: "file:line:column: …". Where augment.preset is given, it sets the group's other keys
 * first, whatever the order of lines. After an error `config` is as it was; the same holds for the
 * two below. */
pl_status pl_config_parse(pl_config *config, const char *name, const char *text, size_t size);

/* Reads a YAML file. A missing file is PL_E_USAGE. */
pl_status pl_config_read(pl_config *config, const char *path);

/* Applies one override, "optim.lr=0.4"; the value is YAML ("method.projector=[512, 128]").
 * Overrides take effect one after another: augment.preset sets its group anew. */
pl_status pl_config_override(pl_config *config, const char *assignment);

/* The folder of the run: run.dir, or runs/NAME where that is empty. `out` takes PL_PATH_MAX bytes.
 */
void pl_config_run_dir(const pl_config *config, char *out);

/* Checks what concerns several keys: batch divisible by micro, crop_min <= crop_max, recompute with
 * batch norm of global scope, required keys given … PL_E_USAGE names the keys. */
pl_status pl_config_check(const pl_config *config);

/* Whether the method reads texts beside images. */
bool pl_config_reads_texts(const pl_config *config);

/* Whether training judges in this way, if it judges at all: eval.kind, or what suits the method. */
bool pl_config_judges(const pl_config *config, pl_cfg_eval kind);

/* All of the above: defaults, file, overrides in their order, checks. */
pl_status pl_config_load(pl_config *config, const char *path, const char *const *overrides,
                         int count);

/* Names, separated by ", ", of the keys by which a run that goes on as `now` would leave the
 * trajectory that it began as `then`; those that concern only where and how it runs, what is saved
 * and what is judged may differ. Empty where there are none. The caller owns the text (pl_free). */
pl_status pl_config_changes(const pl_config *then, const pl_config *now, char **names);

/* The effective configuration as YAML: every key, grouped, readable by pl_config_parse with the
 * same result, bit for bit. The caller owns the text (pl_free). */
pl_status pl_config_write(const pl_config *config, char **text);

/* Prints the table of keys: name, type, default, range, help. */
void pl_config_print_keys(FILE *out);

#endif
