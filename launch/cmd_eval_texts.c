/* plenum eval zeroshot, plenum eval retrieval: judge a model of images and texts. */
#include <stdio.h>

#include "launch/command.h"
#include "launch/judge_texts.h"
#include "launch/restore.h"
#include "launch/startup.h"
#include "runtime/base/memory.h"

typedef struct request {
  const char *run, *data, *templates;
  const char *const *overrides;
  int override_count;
  bool json;
} request;

/* One of the two commands. */
typedef struct text_eval {
  bool has_templates;
  pl_status (*judge)(const pl_text_judge *judge, const request *r, int64_t step);
} text_eval;

static double share(int64_t part, int64_t whole) { return (double)part / (double)whole; }

static pl_status judge_zeroshot(const pl_text_judge *judge, const request *r, int64_t step) {
  pl_zeroshot z;
  PL_TRY(pl_judge_zeroshot(judge, r->templates, &z));
  if (r->json) {
    printf(
        "{\"top1\":%.9g,\"top5\":%.9g,\"right1\":%lld,\"right5\":%lld,\"samples\":%lld,"
        "\"classes\":%lld,\"templates\":%d,\"step\":%lld}\n",
        share(z.right1, z.samples), share(z.right5, z.samples), (long long)z.right1,
        (long long)z.right5, (long long)z.samples, (long long)z.classes, z.templates,
        (long long)step);
  } else {
    printf(
        "zero-shot accuracy %.2f%%, top five %.2f%%: %lld images, %lld classes, %d templates, "
        "after step %lld\n",
        100 * share(z.right1, z.samples), 100 * share(z.right5, z.samples), (long long)z.samples,
        (long long)z.classes, z.templates, (long long)step);
  }
  return PL_OK;
}

static void print_recalls(const pl_retrieval_result *result, bool json) {
  for (int i = 0; i < PL_RECALLS; i++) {
    double recall = share(result->found[i], result->queries);
    if (json) {
      printf("%s\"r%d\":%.9g", i ? "," : "", pl_recall_cut[i], recall);
    } else {
      printf("  R@%d %.2f%%", pl_recall_cut[i], 100 * recall);
    }
  }
}

static pl_status judge_retrieval(const pl_text_judge *judge, const request *r, int64_t step) {
  pl_retrieval_both both;
  PL_TRY(pl_judge_retrieval(judge, &both));
  long long images = (long long)both.texts_for_images.queries;
  long long texts = (long long)both.images_for_texts.queries;
  printf(r->json ? "{\"texts_for_images\":{" : "texts for images:");
  print_recalls(&both.texts_for_images, r->json);
  printf(r->json ? "},\"images_for_texts\":{" : "\nimages for texts:");
  print_recalls(&both.images_for_texts, r->json);
  printf(r->json ? "},\"images\":%lld,\"texts\":%lld,\"step\":%lld}\n"
                 : "\n%lld images, %lld texts, after step %lld\n",
         images, texts, (long long)step);
  return PL_OK;
}

static pl_status compile(const pl_restored *run, pl_part part, pl_net **out) {
  PL_TRY(pl_method_compile_part(run->method, part, (int)run->config.eval.micro, out));
  return pl_net_load(*out, run->state.image, run->state.buffers);
}

static pl_status evaluate(pl_comm *comm, const text_eval *eval, const request *r) {
  pl_restored run = {0};
  pl_dataset *dataset = NULL;
  pl_net *images = NULL, *texts = NULL;
  pl_status status;
  PL_TRY_OR(done, status, pl_restore(comm, r->run, r->overrides, r->override_count, &run));
  pl_startup_threads(comm, run.config.run.threads);
  const char *folder = r->data ? r->data : run.config.data.val;
  if (folder[0] == '\0') {
    status = PL_FAIL(PL_E_USAGE, "the run names no data.val: say what to judge by with --data DIR");
    goto done;
  }
  PL_TRY_OR(done, status, pl_comm_agree(comm, compile(&run, PL_PART_TEXTS, &texts)));
  PL_TRY_OR(done, status, pl_comm_agree(comm, compile(&run, PL_PART_IMAGES, &images)));
  PL_TRY_OR(done, status, pl_startup_dataset(comm, folder, &dataset));
  const pl_text_judge judge = {.comm = comm,
                               .config = &run.config,
                               .images = images,
                               .texts = texts,
                               .tokenizer = run.tokenizer,
                               .dataset = dataset};
  status = eval->judge(&judge, r, run.step);
done:
  pl_net_destroy(&texts);
  pl_net_destroy(&images);
  pl_dataset_close(&dataset);
  pl_restored_free(&run);
  return status;
}

static pl_status parse(const pl_command *command, const text_eval *eval, int argc, char **argv,
                       request *r, const char **operands, bool *helped) {
  pl_option table[] = {
      {.name = "data",
       .kind = PL_OPTION_TEXT,
       .value = &r->data,
       .help = "dataset to judge by; default: the run's data.val"},
      {.name = "json", .kind = PL_OPTION_FLAG, .value = &r->json, .help = "print a JSON object"},
      {0},
      {0},
  };
  const pl_option templates = {.name = "templates",
                               .kind = PL_OPTION_TEXT,
                               .value = &r->templates,
                               .help =
                                   "file of one template a line, with a {} for the class's "
                                   "name; default: a photo of a {}."};
  if (eval->has_templates) table[sizeof table / sizeof *table - 2] = templates;
  int count = 0;
  PL_TRY(pl_options_parse(command, table, argc, argv, 1, -1, operands, &count, helped));
  r->run = operands[0];
  r->overrides = operands + 1;
  r->override_count = count - 1;
  return PL_OK;
}

static pl_status run(pl_comm *comm, const pl_command *command, const text_eval *eval, int argc,
                     char **argv) {
  request r = {0};
  bool helped = false;
  const char **operands = pl_alloc((size_t)argc + 1, sizeof *operands);
  pl_status status = operands ? PL_OK : PL_E_INTERNAL;
  if (status == PL_OK) status = parse(command, eval, argc, argv, &r, operands, &helped);
  status = pl_comm_agree(comm, status);
  if (status == PL_OK && !helped) status = evaluate(comm, eval, &r);
  pl_free(operands);
  return status;
}

static pl_status run_zeroshot(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const text_eval eval = {.has_templates = true, .judge = judge_zeroshot};
  return run(comm, command, &eval, argc, argv);
}

static pl_status run_retrieval(pl_comm *comm, const pl_command *command, int argc, char **argv) {
  const text_eval eval = {.judge = judge_retrieval};
  return run(comm, command, &eval, argc, argv);
}

const pl_command pl_cmd_eval_zeroshot = {
    .name = "eval zeroshot",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "images classified by the names of classes",
    .run = run_zeroshot,
};

const pl_command pl_cmd_eval_retrieval = {
    .name = "eval retrieval",
    .operands = "RUN_OR_CHECKPOINT [key=value ...]",
    .summary = "captions found for images, and images for captions",
    .run = run_retrieval,
};
