/* Small models, and their weights in a file. */
#ifndef TESTS_UNIT_INTERCHANGE_FIXTURE_H
#define TESTS_UNIT_INTERCHANGE_FIXTURE_H

#include "launch/interchange/interchange.h"
#include "runtime/base/file.h"

enum { MODEL_VOCABULARY = 40 };

typedef struct model {
  pl_comm *comm;
  pl_config config;
  pl_state state;
  pl_method *method;
} model;

/* Configured by `yaml` over the defaults, f32, initialised. */
model *model_make(const char *yaml, uint64_t seed);
void model_free(model *m);

/* The image from the parameters. */
void model_gather(model *m);

/* A folder in which `file_path` names a file; cmocka's setup and teardown of a group. */
int file_setup(void **state);
int file_teardown(void **state);
extern char file_path[PL_PATH_MAX];

/* To and from the file. */
void model_export(const model *m, bool encoder_alone);
pl_status model_import(model *m, pl_interchange_plan *plan);

#endif
