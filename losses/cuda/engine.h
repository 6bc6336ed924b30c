/* The pair sweep on a CUDA device. */
#ifndef LOSSES_CUDA_ENGINE_H
#define LOSSES_CUDA_ENGINE_H

#include "losses/pair_engine.h"

/* NULL where this program was built without CUDA. */
const pl_pair_engine *pl_pair_cuda_engine(void);

#endif
