#include "runtime/cpu/onednn_product.h"

#include <omp.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/onednn_calls.h"

/* Handles of one call; oneDNN's memory objects can't be shared between threads. */
typedef struct slot_memory {
  dnnl_stream_t stream;
  dnnl_memory_t left, right, out, scratch;
} slot_memory;

struct pl_dnn_product {
  dnnl_engine_t engine;
  dnnl_primitive_t primitive;
  pl_dnn_layout left, right, out, scratch;
  slot_memory *slot;
  int slots;
};

static pl_status describe(int count, int rows, int cols, bool transposed, pl_dtype type,
                          pl_dnn_layout *out) {
  const dnnl_dims_t one = {rows, cols}, several = {count, rows, cols};
  if (count == 1) return pl_dnn_layout_of(2, one, type, transposed ? dnnl_ba : dnnl_ab, out);
  return pl_dnn_layout_of(3, several, type, transposed ? dnnl_acb : dnnl_abc, out);
}

static pl_status describe_all(pl_dnn_product *p, const pl_dnn_product_spec *s) {
  PL_TRY(describe(s->count, s->rows, s->inner, s->left_transposed, s->type, &p->left));
  PL_TRY(describe(s->count, s->inner, s->cols, s->right_transposed, s->type, &p->right));
  return describe(s->count, s->rows, s->cols, false, s->out_type, &p->out);
}

static pl_status make_primitive(pl_dnn_product *p) {
  const pl_dnn_factors factors = {p->left, p->right, p->out};
  dnnl_primitive_attr_t attributes = NULL;
  dnnl_primitive_desc_t desc = NULL;
  pl_status status;
  PL_TRY_OR(done, status, pl_dnn_attributes(&attributes));
  PL_TRY_OR(done, status, pl_dnn_describe_product(p->engine, &factors, attributes, &desc));
  PL_TRY_OR(done, status,
            pl_dnn_checked(dnnl_primitive_create(&p->primitive, desc), "matrix product"));
  status = pl_dnn_layout_copy(dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0),
                              &p->scratch);
done:
  dnnl_primitive_desc_destroy(desc);
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static pl_status make_slot(const pl_dnn_product *p, slot_memory *slot) {
  PL_TRY(pl_dnn_checked(dnnl_stream_create(&slot->stream, p->engine, dnnl_stream_default_flags),
                        "stream"));
  PL_TRY(pl_dnn_memory(p->engine, p->left, &slot->left));
  PL_TRY(pl_dnn_memory(p->engine, p->right, &slot->right));
  PL_TRY(pl_dnn_memory(p->engine, p->out, &slot->out));
  return pl_dnn_memory(p->engine, p->scratch, &slot->scratch);
}

pl_status pl_dnn_product_create(const pl_dnn_product_spec *spec, pl_dnn_product **out) {
  pl_status status;
  pl_dnn_product *p = pl_alloc(1, sizeof *p);
  if (!p) return PL_E_INTERNAL;
  /* oneDNN cuts the work for the team it sees when the primitive is made. */
  int team = omp_get_max_threads();
  omp_set_num_threads(spec->threads);
  PL_TRY_OR(done, status, pl_dnn_checked(dnnl_engine_create(&p->engine, dnnl_cpu, 0), "engine"));
  PL_TRY_OR(done, status, describe_all(p, spec));
  PL_TRY_OR(done, status, make_primitive(p));
  p->slot = pl_alloc((size_t)spec->slots, sizeof *p->slot);
  if (!p->slot) status = PL_E_INTERNAL;
  for (; status == PL_OK && p->slots < spec->slots; p->slots++)
    status = make_slot(p, &p->slot[p->slots]);
done:
  omp_set_num_threads(team);
  if (status != PL_OK) pl_dnn_product_destroy(&p);
  *out = p;
  return status;
}

void pl_dnn_product_destroy(pl_dnn_product **product) {
  pl_dnn_product *p = *product;
  if (!p) return;
  for (int i = 0; i < p->slots; i++) {
    dnnl_memory_destroy(p->slot[i].left);
    dnnl_memory_destroy(p->slot[i].right);
    dnnl_memory_destroy(p->slot[i].out);
    dnnl_memory_destroy(p->slot[i].scratch);
    dnnl_stream_destroy(p->slot[i].stream);
  }
  dnnl_primitive_destroy(p->primitive);
  pl_dnn_layout_destroy(&p->left);
  pl_dnn_layout_destroy(&p->right);
  pl_dnn_layout_destroy(&p->out);
  pl_dnn_layout_destroy(&p->scratch);
  dnnl_engine_destroy(p->engine);
  pl_free(p->slot);
  pl_free(p);
  *product = NULL;
}

size_t pl_dnn_product_scratch_bytes(const pl_dnn_product *product) {
  return pl_align_up(dnnl_memory_desc_get_size(product->scratch));
}

pl_status pl_dnn_product_run(pl_dnn_product *product, int slot, const void *left, const void *right,
                             void *out, void *scratch) {
  const slot_memory *memory = &product->slot[slot];
  PL_TRY(pl_dnn_point(memory->left, left));
  PL_TRY(pl_dnn_point(memory->right, right));
  PL_TRY(pl_dnn_point(memory->out, out));
  PL_TRY(pl_dnn_point(memory->scratch, scratch));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, memory->left},
                                  {DNNL_ARG_WEIGHTS, memory->right},
                                  {DNNL_ARG_DST, memory->out},
                                  {DNNL_ARG_SCRATCHPAD, memory->scratch}};
  return pl_dnn_checked(dnnl_primitive_execute(product->primitive, memory->stream, 4, args),
                        "matrix product");
}
