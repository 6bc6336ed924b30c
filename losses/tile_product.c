#include "losses/tile_product.h"

#include <dnnl.h>
#include <omp.h>

#include "runtime/base/memory.h"

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
  dnnl_memory_desc_t left[PL_TILE_ROW_COUNTS], out[PL_TILE_ROW_COUNTS], scratch[PL_TILE_ROW_COUNTS];
  dnnl_memory_desc_t given, packed;
  slot_memory *slots;
  char *scratch_block; /* (slots, scratch_bytes): enough for any of the kernels */
  size_t scratch_bytes;
};

static pl_status check(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return PL_OK;
  return PL_FAIL(PL_E_INTERNAL, "tile product: %s failed (oneDNN status %d)", what, (int)status);
}

/* A matrix whose element (i, j) lies at i * row_step + j * col_step. */
static pl_status describe(dnnl_memory_desc_t *desc, int rows, int cols, int row_step,
                          int col_step) {
  const dnnl_dims_t dims = {rows, cols};
  const dnnl_dims_t strides = {row_step, col_step};
  return check(dnnl_memory_desc_init_by_strides(desc, 2, dims, dnnl_f32, strides),
               "describing a matrix");
}

/* Scratch memory is handed in by us, since the library's own is shared between threads. */
static pl_status make_attributes(bool accumulate, dnnl_primitive_attr_t *out) {
  dnnl_post_ops_t sum = NULL;
  dnnl_primitive_attr_t attributes = NULL;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, check(dnnl_primitive_attr_create(&attributes), "making attributes"));
  PL_TRY_OR(done, status,
            check(dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user),
                  "choosing the scratch mode"));
  if (accumulate) {
    PL_TRY_OR(done, status, check(dnnl_post_ops_create(&sum), "making an accumulation"));
    PL_TRY_OR(done, status, check(dnnl_post_ops_append_sum(sum, 1.0f), "making an accumulation"));
    PL_TRY_OR(done, status,
              check(dnnl_primitive_attr_set_post_ops(attributes, sum), "setting an accumulation"));
  }
done:
  dnnl_post_ops_destroy(sum);
  if (status != PL_OK) {
    dnnl_primitive_attr_destroy(attributes);
    attributes = NULL;
  }
  *out = attributes;
  return status;
}

/* The first kernel chooses the packed layout, a later one has to take it. */
static pl_status make_kernel(pl_tile_product *product, int which,
                             const_dnnl_primitive_attr_t attributes) {
  const pl_tile_spec *spec = &product->spec;
  int rows = spec->rows[which];
  dnnl_memory_desc_t right = product->packed;
  dnnl_primitive_desc_t kernel = NULL;
  dnnl_matmul_desc_t matmul;
  pl_status status = PL_OK;
  if (which == 0) {
    const dnnl_dims_t dims = {spec->inner, spec->cols};
    PL_TRY(check(dnnl_memory_desc_init_by_tag(&right, 2, dims, dnnl_f32, dnnl_format_tag_any),
                 "describing a packed matrix"));
  }
  PL_TRY(describe(&product->left[which], rows, spec->inner, spec->inner, 1));
  PL_TRY(describe(&product->out[which], rows, spec->cols, spec->out_stride, 1));
  PL_TRY(check(
      dnnl_matmul_desc_init(&matmul, &product->left[which], &right, NULL, &product->out[which]),
      "describing a product"));
  PL_TRY_OR(done, status,
            check(dnnl_primitive_desc_create(&kernel, &matmul, attributes, product->engine, NULL),
                  "choosing a kernel"));
  PL_TRY_OR(done, status,
            check(dnnl_primitive_create(&product->kernel[which], kernel), "making a kernel"));
  product->packed = *dnnl_primitive_desc_query_md(kernel, dnnl_query_weights_md, 0);
  product->scratch[which] = *dnnl_primitive_desc_query_md(kernel, dnnl_query_scratchpad_md, 0);
  size_t scratch_bytes = pl_align_up(dnnl_memory_desc_get_size(&product->scratch[which]));
  if (scratch_bytes > product->scratch_bytes) product->scratch_bytes = scratch_bytes;
done:
  dnnl_primitive_desc_destroy(kernel);
  return status;
}

static pl_status make_packer(pl_tile_product *product) {
  const pl_tile_spec *spec = &product->spec;
  dnnl_primitive_desc_t packer = NULL;
  pl_status status = PL_OK;
  PL_TRY(describe(&product->given, spec->inner, spec->cols, spec->transposed ? 1 : spec->cols,
                  spec->transposed ? spec->inner : 1));
  PL_TRY_OR(done, status,
            check(dnnl_reorder_primitive_desc_create(&packer, &product->given, product->engine,
                                                     &product->packed, product->engine, NULL),
                  "choosing a packer"));
  PL_TRY_OR(done, status,
            check(dnnl_primitive_create(&product->packer, packer), "making a packer"));
done:
  dnnl_primitive_desc_destroy(packer);
  return status;
}

static pl_status make_kernels(pl_tile_product *product) {
  dnnl_primitive_attr_t attributes = NULL;
  pl_status status = PL_OK;
  PL_TRY_OR(done, status, make_attributes(product->spec.accumulate, &attributes));
  for (int i = 0; i < PL_TILE_ROW_COUNTS; i++)
    if (product->spec.rows[i] > 0) PL_TRY_OR(done, status, make_kernel(product, i, attributes));
  PL_TRY_OR(done, status, make_packer(product));
done:
  dnnl_primitive_attr_destroy(attributes);
  return status;
}

static pl_status make_memory(const pl_tile_product *product, const dnnl_memory_desc_t *desc,
                             void *data, dnnl_memory_t *out) {
  return check(dnnl_memory_create(out, desc, product->engine, data), "making a handle");
}

static pl_status make_slot(pl_tile_product *product, slot_memory *slot, char *scratch) {
  PL_TRY(check(dnnl_stream_create(&slot->stream, product->engine, dnnl_stream_default_flags),
               "making a stream"));
  PL_TRY(make_memory(product, &product->given, DNNL_MEMORY_NONE, &slot->given));
  PL_TRY(make_memory(product, &product->packed, DNNL_MEMORY_NONE, &slot->packed));
  for (int i = 0; i < PL_TILE_ROW_COUNTS; i++) {
    if (product->spec.rows[i] == 0) continue;
    PL_TRY(make_memory(product, &product->left[i], DNNL_MEMORY_NONE, &slot->left[i]));
    PL_TRY(make_memory(product, &product->out[i], DNNL_MEMORY_NONE, &slot->out[i]));
    PL_TRY(make_memory(product, &product->scratch[i], scratch, &slot->scratch[i]));
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
  status = check(dnnl_engine_create(&product->engine, dnnl_cpu, 0), "starting the engine");
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
  for (int k = 0; k < PL_TILE_ROW_COUNTS; k++) dnnl_primitive_destroy(p->kernel[k]);
  dnnl_primitive_destroy(p->packer);
  dnnl_engine_destroy(p->engine);
  pl_free(p->scratch_block);
  pl_free(p->slots);
  pl_free(p);
  *product = NULL;
}

size_t pl_tile_packed_bytes(const pl_tile_product *product) {
  return pl_align_up(dnnl_memory_desc_get_size(&product->packed));
}

/* The library's handles are not const, its primitives only read from sources. */
static pl_status point(dnnl_memory_t memory, const void *data) {
  return check(dnnl_memory_set_data_handle(memory, (void *)data), "pointing at an operand");
}

pl_status pl_tile_pack(pl_tile_product *product, int slot, const float *right, void *packed) {
  slot_memory *memory = &product->slots[slot];
  PL_TRY(point(memory->given, right));
  PL_TRY(point(memory->packed, packed));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, memory->given}, {DNNL_ARG_TO, memory->packed}};
  return check(dnnl_primitive_execute(product->packer, memory->stream, 2, args), "packing");
}

pl_status pl_tile_run(pl_tile_product *product, int slot, int rows, const float *left,
                      const void *packed, float *out) {
  int which = 0;
  while (which < PL_TILE_ROW_COUNTS && product->spec.rows[which] != rows) which++;
  if (which == PL_TILE_ROW_COUNTS)
    return PL_FAIL(PL_E_INTERNAL, "tile product: no kernel for %d rows", rows);
  slot_memory *memory = &product->slots[slot];
  PL_TRY(point(memory->left[which], left));
  PL_TRY(point(memory->packed, packed));
  PL_TRY(point(memory->out[which], out));
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, memory->left[which]},
                                  {DNNL_ARG_WEIGHTS, memory->packed},
                                  {DNNL_ARG_DST, memory->out[which]},
                                  {DNNL_ARG_SCRATCHPAD, memory->scratch[which]}};
  return check(dnnl_primitive_execute(product->kernel[which], memory->stream, 4, args),
               "multiplying");
}

size_t pl_tile_product_bytes(const pl_tile_product *product) {
  return sizeof *product +
         (size_t)product->spec.slots * (product->scratch_bytes + sizeof(slot_memory));
}
