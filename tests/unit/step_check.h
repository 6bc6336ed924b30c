/* A step of image-text training as the program makes it, held against a stored one of PyTorch's. */
#ifndef TESTS_UNIT_STEP_CHECK_H
#define TESTS_UNIT_STEP_CHECK_H

#include "comm/comm.h"
#include "runtime/config/config.h"

/* Checks the configured model in f32 against the case `stored` of tests/parity/method_reference.py,
 * with weights, images and texts by formula: embeddings of the whole batch within 1e-5 of the
 * largest value, the loss within 1e-5 of itself, the gradient of every parameter and every running
 * statistic after the step within `tolerance` of its length. Says what is farthest. Collective. */
void step_check(pl_comm *comm, const char *stored, const pl_config *config, int vocabulary,
                double tolerance);

#endif
