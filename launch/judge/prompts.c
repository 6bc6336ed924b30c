#include "launch/judge/prompts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/base/grow.h"
#include "runtime/base/memory.h"
#include "runtime/base/tree.h"
#include "runtime/base/utf8.h"
#include "runtime/net/exec.h"

enum { FILE_MAX = 1 << 20, PROMPT_MAX = 4096 };

static char default_template[] = "a photo of a {}.";

/* Templates, as parts of the text of their file. */
typedef struct templates {
  char *text;
  char **line;
  int lines;
} templates;

/* The only {}: a second one is more likely a slip than part of a text. NULL for none, or more. */
static const char *name_place(const char *line) {
  const char *place = strstr(line, "{}");
  return place && !strstr(place + 2, "{}") ? place : NULL;
}

static pl_status add_line(templates *t, const char *path, int number, char *line) {
  if (line[strspn(line, " \t\r")] == '\0') return PL_OK;
  if (!name_place(line)) {
    return PL_FAIL(PL_E_DATA,
                   "%s:%d: no template, which has one {}, where the name of a class goes", path,
                   number);
  }
  size_t length = strlen(line), valid = pl_utf8_valid(line, length);
  if (valid < length) {
    return PL_FAIL(PL_E_DATA, "%s:%d: no UTF-8 from byte %zu on", path, number, valid + 1);
  }
  PL_TRY(pl_grow((void **)&t->line, t->lines, sizeof *t->line));
  t->line[t->lines++] = line;
  return PL_OK;
}

static pl_status read_templates(const char *path, templates *t) {
  static const char mark[] = "\xef\xbb\xbf"; /* that some editors begin a text with */
  size_t size;
  if (!path) return add_line(t, "", 1, default_template);
  PL_TRY(pl_read_file(path, FILE_MAX, &t->text, &size));
  if (strlen(t->text) < size) {
    return PL_FAIL(PL_E_DATA, "%s: a zero byte; is it UTF-16, or no text at all?", path);
  }
  int number = 1;
  bool marked = strncmp(t->text, mark, strlen(mark)) == 0;
  for (char *line = t->text + (marked ? strlen(mark) : 0); line; number++) {
    char *end = strchr(line, '\n');
    if (end) *end = '\0';
    size_t length = strlen(line);
    if (length > 0 && line[length - 1] == '\r') line[length - 1] = '\0';
    PL_TRY(add_line(t, path, number, line));
    line = end ? end + 1 : NULL;
  }
  return t->lines > 0 ? PL_OK : PL_FAIL(PL_E_DATA, "%s holds no template", path);
}

/* One embedding of all prompts; prompt number k is class k / templates in template k % templates.
 */
typedef struct pass {
  pl_comm *comm;
  const pl_config *config;
  const pl_dataset *dataset;
  const pl_tokenizer *tokenizer;
  templates templates;
  int64_t prompts, total_leaves, first_leaf, leaves;
  pl_tokenizer_scratch scratch;
  int32_t *tokens; /* of a leaf */
  float *rows;     /* (leaves of all ranks, micro, width) */
} pass;

static pl_status encode(pass *p, int64_t prompt, int32_t *tokens) {
  const char *name = pl_dataset_class_name(p->dataset, (int)(prompt / p->templates.lines));
  const char *line = p->templates.line[prompt % p->templates.lines];
  const char *place = name_place(line);
  char text[PROMPT_MAX];
  int length = snprintf(text, sizeof text, "%.*s%s%s", (int)(place - line), line, name, place + 2);
  if (length >= (int)sizeof text) {
    return PL_FAIL(PL_E_DATA, "the prompt of class %s is longer than %d bytes", name,
                   PROMPT_MAX - 1);
  }
  pl_status status = pl_tokenizer_encode(p->tokenizer, text, (size_t)length, &p->scratch,
                                         (int)p->config->model.text.context, tokens, NULL);
  return pl_context(status, "the prompt of class %s", name);
}

/* Leaves are whole: what is beyond the last prompt is the first ones once more. */
static pl_status fetch(void *context, int64_t leaf, pl_exec_input *input) {
  pass *p = context;
  int64_t micro = p->config->eval.micro;
  pl_comm_alive(p->comm, -1, "embedding");
  for (int64_t i = 0; i < micro; i++) {
    int64_t prompt = ((p->first_leaf + leaf) * micro + i) % p->prompts;
    PL_TRY(encode(p, prompt, p->tokens + i * p->config->model.text.context));
  }
  input->host = p->tokens;
  return PL_OK;
}

static pl_status embed_leaves(pass *p, pl_net *texts, float *own) {
  if (p->leaves == 0) return PL_OK;
  pl_ranks alone = pl_ranks_alone();
  pl_exec *exec = NULL;
  pl_exec_options options = {.leaves = p->leaves, .total_leaves = p->leaves, .ranks = &alone};
  pl_status status = pl_exec_create(texts, &options, &exec);
  if (status == PL_OK) status = pl_exec_embed(exec, fetch, p, own);
  pl_exec_destroy(&exec);
  return status;
}

static pl_status reserve(pass *p, int width) {
  size_t micro = (size_t)p->config->eval.micro;
  p->tokens = pl_alloc(micro * (size_t)p->config->model.text.context, sizeof *p->tokens);
  p->rows = pl_alloc((size_t)p->total_leaves * micro * (size_t)width, sizeof *p->rows);
  return p->tokens && p->rows ? PL_OK : PL_E_INTERNAL;
}

/* Every rank embeds its leaves and gets all. */
static pl_status embed_all(pass *p, pl_net *texts, int width) {
  int ranks = pl_comm_size(p->comm);
  size_t leaf_bytes = (size_t)p->config->eval.micro * (size_t)width * sizeof *p->rows;
  size_t *bytes = pl_alloc((size_t)ranks, sizeof *bytes);
  pl_status status = bytes ? reserve(p, width) : PL_E_INTERNAL;
  float *own = NULL;
  if (status == PL_OK) {
    own = p->rows + (size_t)p->first_leaf * leaf_bytes / sizeof *p->rows;
    status = embed_leaves(p, texts, own);
  }
  PL_TRY_OR(done, status, pl_comm_agree(p->comm, status));
  for (int k = 0; k < ranks; k++) {
    int64_t first, leaves;
    pl_tree_part(p->total_leaves, ranks, k, &first, &leaves);
    bytes[k] = (size_t)leaves * leaf_bytes;
  }
  status = pl_comm_allgather(p->comm, own, p->rows, bytes);
done:
  pl_free(bytes);
  return status;
}

/* The mean over templates, in their order, at unit length. */
static void average(const pass *p, pl_prompts *out) {
  for (int64_t c = 0; c < out->classes; c++) {
    float *to = out->values + c * out->width;
    double square = 0;
    for (int j = 0; j < out->width; j++) {
      double sum = 0;
      for (int t = 0; t < out->templates; t++) {
        sum += p->rows[(c * out->templates + t) * out->width + j];
      }
      to[j] = (float)sum;
      square += (double)to[j] * to[j];
    }
    float scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
    for (int j = 0; j < out->width; j++) to[j] *= scale;
  }
}

static pl_status prepare(pass *p, const char *path, int width, pl_prompts *out) {
  out->classes = pl_dataset_get_info(p->dataset)->classes;
  if (out->classes == 0) {
    return PL_FAIL(PL_E_DATA, "%s: this dataset has no classes to name",
                   pl_dataset_shard_path(p->dataset, 0));
  }
  PL_TRY(read_templates(path, &p->templates));
  int64_t micro = p->config->eval.micro;
  out->templates = p->templates.lines;
  out->width = width;
  p->prompts = out->classes * out->templates;
  p->total_leaves = (p->prompts + micro - 1) / micro;
  pl_tree_part(p->total_leaves, pl_comm_size(p->comm), pl_comm_rank(p->comm), &p->first_leaf,
               &p->leaves);
  out->values = pl_alloc((size_t)out->classes * (size_t)width, sizeof *out->values);
  return out->values ? PL_OK : PL_E_INTERNAL;
}

pl_status pl_prompts_embed(pl_comm *comm, const pl_config *config, const pl_dataset *dataset,
                           const pl_tokenizer *tokenizer, pl_net *texts, const char *path,
                           pl_prompts *out) {
  pass p = {.comm = comm, .config = config, .dataset = dataset, .tokenizer = tokenizer};
  int width = pl_net_output_features(texts);
  *out = (pl_prompts){0};
  pl_status status = pl_comm_agree(comm, prepare(&p, path, width, out));
  if (status == PL_OK) status = embed_all(&p, texts, width);
  if (status == PL_OK) average(&p, out);
  pl_tokenizer_scratch_free(&p.scratch);
  pl_free(p.rows);
  pl_free(p.tokens);
  pl_free((void *)p.templates.line);
  pl_free(p.templates.text);
  return status;
}

void pl_prompts_free(pl_prompts *prompts) {
  pl_free(prompts->values);
  *prompts = (pl_prompts){0};
}
