#include "launch/plan/lines.h"

#include "launch/plan/size.h"

const char *pl_plan_name(pl_memory_kind kind) {
  switch (kind) {
    case PL_MEMORY_PROGRAM: return "program";
    case PL_MEMORY_MASTER: return "parameters";
    case PL_MEMORY_AVERAGE: return "their average";
    case PL_MEMORY_IMAGE: return "compute image";
    case PL_MEMORY_MOMENTS: return "moments";
    case PL_MEMORY_GRADIENT_SUMS: return "gradient sums";
    case PL_MEMORY_GRADIENT_EXCHANGE: return "gradient exchange";
    case PL_MEMORY_KEPT: return "activations";
    case PL_MEMORY_SCRATCH: return "scratch";
    case PL_MEMORY_KERNELS: return "kernels";
    case PL_MEMORY_EMBEDDINGS: return "embeddings";
    case PL_MEMORY_LOSS: return "loss";
    case PL_MEMORY_BUFFERS: return "running statistics";
    case PL_MEMORY_DATA: return "data";
    case PL_MEMORY_CHECKPOINT: return "checkpoint copy";
    case PL_MEMORY_JUDGING: return "judging, pictures";
    case PL_MEMORY_KINDS: break;
  }
  return "";
}

const char *pl_plan_remedy(const pl_plan *plan, pl_memory_kind kind) {
  switch (kind) {
    case PL_MEMORY_MASTER:
    case PL_MEMORY_AVERAGE:
    case PL_MEMORY_MOMENTS:
    case PL_MEMORY_CHECKPOINT:
    case PL_MEMORY_GRADIENT_EXCHANGE: return "more ranks";
    case PL_MEMORY_IMAGE: return plan->precision == PL_F32 ? "train.precision=bf16" : NULL;
    case PL_MEMORY_GRADIENT_SUMS: return "a smaller batch.parts, more ranks";
    case PL_MEMORY_KEPT:
      return plan->recompute ? "a smaller batch.micro"
                             : "batch.activations=recompute (with model.norm.scope=micro, where "
                               "there are batch norms), more ranks";
    case PL_MEMORY_SCRATCH: return "a smaller batch.micro";
    case PL_MEMORY_EMBEDDINGS:
    case PL_MEMORY_LOSS: return "more ranks, a smaller batch.global";
    case PL_MEMORY_DATA: return "a smaller batch.micro, fewer data.workers";
    case PL_MEMORY_JUDGING: return "a smaller data.val or eval.micro, eval.every=0 steps";
    case PL_MEMORY_KERNELS:
    case PL_MEMORY_BUFFERS:
    case PL_MEMORY_PROGRAM:
    case PL_MEMORY_KINDS: break;
  }
  return NULL;
}

void pl_plan_detail(const pl_plan *plan, pl_memory_kind kind, char text[PL_PLAN_DETAIL]) {
  char size[PL_SIZE_TEXT];
  size_t bytes = plan->bytes[PL_ON_HOST][kind] + plan->bytes[PL_ON_DEVICE][kind];
  text[0] = '\0';
  switch (kind) {
    case PL_MEMORY_MASTER:
      snprintf(text, PL_PLAN_DETAIL, "f32, %s", plan->ranks > 1 ? "this rank's slice" : "all");
      break;
    case PL_MEMORY_IMAGE:
      snprintf(text, PL_PLAN_DETAIL, "weights in %s", pl_dtype_name(plan->precision));
      break;
    case PL_MEMORY_GRADIENT_SUMS:
      snprintf(text, PL_PLAN_DETAIL, "%d f32 vectors of all parameters", plan->gradient_sums);
      break;
    case PL_MEMORY_KEPT:
      if (plan->recompute) {
        snprintf(text, PL_PLAN_DETAIL, "of one micro-batch: they are computed twice");
      } else {
        snprintf(text, PL_PLAN_DETAIL, "%lld micro-batches of %s", (long long)plan->leaves,
                 pl_size_text(bytes / (size_t)plan->leaves, size));
      }
      break;
    case PL_MEMORY_SCRATCH:
      snprintf(text, PL_PLAN_DETAIL, "of one micro-batch, and workspaces of libraries");
      break;
    case PL_MEMORY_DATA:
      snprintf(text, PL_PLAN_DETAIL,
               "micro-batches read ahead, images being decoded, the dataset's index");
      break;
    default: break;
  }
}
