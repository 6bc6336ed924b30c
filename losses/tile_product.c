#include "losses/tile_product.h"

#include <omp.h>

#include "runtime/base/memory.h"
#include "runtime/cpu/onednn_calls.h"

/* Handles that one call uses; the library's memory objects are not shared between threads. */
typedef struct slot_memory {
  dnnl_stream_t stream;
  dnnl_memory_t given, packed;
  dnnl_memory_t left[PL_TILE_ROW_COUNTS], out[PL_TILE_ROW_COUNTS], scratch[PL_TILE_ROW_COUNTS];
} slot_memory;

struct pl_tile_product {
  pl_tile_spec spec;
  dnnl_engine_t engine;
  dnnl_primitive_t kernel[PL_TILE_ROW_COUNTS];
  dnnl_primitive_t packer;
  pl_dnn_layout left[PL_TILE_ROW_COUNTS], out[PL_TILE_ROW_COUNTS], scratch[PL_TILE_ROW_COUNTS];
  pl_dnn_layout given, packed;
  slot_memory *slots;
  char *scratch_block; /* (slots, scratch_bytes): enough for any of the kernels */
  size_t scratch_bytes;
};

/* The first kernel chooses the packed layout, a later one has to take it. */
static pl_status make_kernel(pl_tile_product *product, int which,
                             const_dnnl_primitive_attr_t attributes) {
  const pl_tile_spec *spec = &product->spec;
  const dnnl_dims_t dims = {spec->inner, spec->cols};
  int rows = spec->rows[which];
  pl_dnn_layout any = NULL;
  dnnl_primitive_desc_t kernel = NULL;
  pl_status status;
  pl_dnn_layout *left = &product->left[which], *out = &product->out[which];
  pl_dnn_layout *scratch = &product->scratch[which];
  PL_TRY_OR(done, status, pl_dnn_layout_of(2, dims, PL_F32, dnnl_format_tag_any, &any));
  PL_TRY_OR(done, status, pl_dnn_layout_by_steps(rows, spec->inner, spec->inner, 1, PL_F32, left));
  PL_TRY_OR(done, status,
            pl_dnn_layout_by_steps(rows, spec->cols, spec->out_stride, 1, PL_F32, out));
  const pl_dnn_factors factors = {*left, which == 0 ? any : product->packed, *out};
  PL_TRY_OR(done, status, pl_dnn_describe_product(product->engine, &factors, attributes, &kernel));
  PL_TRY_OR(done, status,
            pl_dnn_checked(dnnl_primitive_create(&product->kernel[which], kernel), "kernel"));
  if (which == 0)
    PL_TRY_OR(done, status,
              pl_dnn_layout_copy(dnnl_primitive_desc_query_md(kernel, dnnl_query_weights_md, 0),
                                 &product->packed));
  PL_TRY_OR(done, status,
            pl_dnn_layout_copy(dnnl_primitive_desc_query_md(kernel, dnnl_query_scratchpad_md, 0),
                               scratch));
  size_t scratch_bytes = pl_align_up(dnnl_memory_desc_get_size(*scratch));
  if (scratch_bytes > product->scratch_bytes) product->scratch_bytes = scratch_bytes;
done:
  pl_dnn_layout_destroy(&any);
  dnnl_primitive_desc_destroy(kernel);
  return status;
}

static pl_status make_packer(pl_tile_product *product) {
  const pl_tile_spec *spec = &product->spec;
  int row_step = spec->transposed ? 1 : spec->cols, col_step = spec->transposed ? spec->inner : 1;
  PL_TRY(
      pl_dnn_layout_by_steps(spec->inner, spec->cols, row_step, col_step, PL_F32, &product->given));
  return pl_dnn_reorder(product->engine, product->given, product->packed, &product->packer);
}

static pl_status make_kernels(pl_tile_product *product) {
  dnnl_primitive_attr_t attributes;
  pl_status status = PL_OK;
  PL_TRY(pl_dnn_attributes(&attributes));
  if (product->spec.accumulate) PL_TRY_OR(done, status, pl_dnn_add_to_result(attributes));
  for (int i = 0; i < PL_TILE_ROW_COUNTS; i++)
    if (product->spec.rows[i] > 0) PL_TRY_OR(done, status, make_kernel(product, i, attributes));
  status = make_packer(product);
done:
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static pl_status make_slot(pl_tile_product *product, slot_memory *slot, char *scratch) {
  dnnl_engine_t engine = product->engine;
  PL_TRY(pl_dnn_checked(dnnl_stream_create(&slot->stream, engine, dnnl_stream_default_flags),
                        "stream"));
  PL_TRY(pl_dnn_memory(engine, product->given, &slot->given));
  PL_TRY(pl_dnn_memory(engine, product->packed, &slot->packed));
  for (int i = 0; i < PL_TILE_ROW_COUNTS; i++) {
    if (product->spec.rows[i] == 0) continue;
    PL_TRY(pl_dnn_memory(engine, product->left[i], &slot->left[i]));
    PL_TRY(pl_dnn_memory(engine, product->out[i], &slot->out[i]));
    PL_TRY(pl_dnn_memory(engine, product->scratch[i], &slot->scratch[i]));
    PL_TRY(pl_dnn_point(slot->scratch[i], scratch));
  }
  return PL_OK;
}

pl_status pl_tile_product_create(const pl_tile_spec *spec, pl_tile_product **out) {
  pl_tile_product *product = pl_alloc(1, sizeof *product);
  pl_status status = PL_OK;
  *out = NULL;
  if (!product) return PL_E_INTERNAL;
  product->spec = *spec;
  /* The library cuts a kernel's work for the team it sees when the kernel is made. */
  int team = omp_get_max_threads();
  if (!spec->by_team) omp_set_num_threads(1);
  status = pl_dnn_checked(dnnl_engine_create(&product->engine, dnnl_cpu, 0), "engine");
  if (status == PL_OK) status = make_kernels(product);
  omp_set_num_threads(team);
  if (status != PL_OK) goto done;

  product->scratch_block = pl_alloc((size_t)spec->slots, product->scratch_bytes);
  product->slots = pl_alloc((size_t)spec->slots, sizeof *product->slots);
  if (!product->scratch_block || !product->slots) {
    status = PL_E_INTERNAL;
    goto done;
  }
  for (int i = 0; i < spec->slots; i++) {
    char *scratch = product->scratch_block + (size_t)i * product->scratch_bytes;
    PL_TRY_OR(done, status, make_slot(product, &product->slots[i], scratch));
  }
done:
  if (status != PL_OK) pl_tile_product_destroy(&product);
  *out = product;
  return status;
}

void pl_tile_product_destroy(pl_tile_product **product) {
  pl_tile_product *p = *product;
  if (!p) return;
  for (int i = 0; p->slots && i < p->spec.slots; i++) {
    slot_memory *slot = &p->slots[i];
    for (int k = 0; k < PL_TILE_ROW_COUNTS; k++) {
      dnnl_memory_destroy(slot->left[k]);
      dnnl_memory_destroy(slot->out[k]);
      dnnl_memory_destroy(slot->scratch[k]);
    }
    dnnl_memory_destroy(slot->given);
    dnnl_memory_destroy(slot->packed);
    dnnl_stream_destroy(slot->stream);
  }
  for (int k = 0; k < PL_TILE_ROW_COUNTS; k++) {
    dnnl_primitive_destroy(p->kernel[k]);
    pl_dnn_layout_destroy(&p->left[k]);
    pl_dnn_layout_destroy(&p->out[k]);
    pl_dnn_layout_destroy(&p->scratch[k]);
  }
  pl_dnn_layout_destroy(&p->given);
  pl_dnn_layout_destroy(&p->packed);
  dnnl_primitive_destroy(p->packer);
  dnnl_engine_destroy(p->engine);
  pl_free(p->scratch_block);
  pl_free(p->slots);
  pl_free(p);
  *product = NULL;
}

size_t pl_tile_packed_bytes(const pl_tile_product *product) {
  return pl_align_up(dnnl_memory_desc_get_size(product->packed));
}

pl_status pl_tile_pack(pl_tile_product *product, int slot, const float *right, void *packed) {
  slot_memory *memory = &product->slots[slot];
  PL_TRY(pl_dnn_point(memory->given, right));
  PL_TRY(pl_dnn_point(memory->packed, packed));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, memory->given}, {DNNL_ARG_TO, memory->packed}};
  return pl_dnn_checked(dnnl_primitive_execute(product->packer, memory->stream, 2, args),
                        "packing");
}

pl_status pl_tile_run(pl_tile_product *product, int slot, int rows, const float *left,
                      const void *packed, float *out) {
  int which = 0;
  while (which < PL_TILE_ROW_COUNTS && product->spec.rows[which] != rows) which++;
  if (which == PL_TILE_ROW_COUNTS)
    return PL_FAIL(PL_E_INTERNAL, "tile product: no kernel for %d rows", rows);
  slot_memory *memory = &product->slots[slot];
  PL_TRY(pl_dnn_point(memory->left[which], left));
  PL_TRY(pl_dnn_point(memory->packed, packed));
  PL_TRY(pl_dnn_point(memory->out[which], out));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, memory->left[which]},
                                  {DNNL_ARG_WEIGHTS, memory->packed},
                                  {DNNL_ARG_DST, memory->out[which]},
                                  {DNNL_ARG_SCRATCHPAD, memory->scratch[which]}};
  return pl_dnn_checked(dnnl_primitive_execute(product->kernel[which], memory->stream, 4, args),
                        "multiplying");
}

size_t pl_tile_product_bytes(const pl_tile_product *product) {
  return sizeof *product +
         (size_t)product->spec.slots * (product->scratch_bytes + sizeof(slot_memory));
}
