#include "runtime/data/writer_layout.h"

#include <string.h>

#include "runtime/data/h5.h"

typedef struct builder {
  const char *path;
  hid_t file;
  hid_t stored;  /* creation properties of every array */
  hid_t grouped; /* creation properties of every group */
} builder;

/* Room is made at once, so that arrays have a place in the file before a byte is written, and HDF5
 * neither fills it nor notes the time, so that equal samples give equal files. */
static pl_status make_properties(builder *b) {
  b->stored = H5Pcreate(H5P_DATASET_CREATE);
  b->grouped = H5Pcreate(H5P_GROUP_CREATE);
  if (b->stored < 0 || b->grouped < 0 || H5Pset_layout(b->stored, H5D_CONTIGUOUS) < 0 ||
      H5Pset_alloc_time(b->stored, H5D_ALLOC_TIME_EARLY) < 0 ||
      H5Pset_fill_time(b->stored, H5D_FILL_TIME_NEVER) < 0 ||
      H5Pset_obj_track_times(b->stored, false) < 0 ||
      H5Pset_obj_track_times(b->grouped, false) < 0) {
    return pl_h5_fail(PL_E_INTERNAL, b->path, "cannot set properties");
  }
  return PL_OK;
}

static pl_status create_file(builder *b) {
  hid_t root = H5Pcreate(H5P_FILE_CREATE);
  hid_t access = pl_h5_file_access();
  if (root >= 0 && access >= 0 && H5Pset_obj_track_times(root, false) >= 0) {
    b->file = H5Fcreate(b->path, H5F_ACC_TRUNC, root, access);
  }
  if (root >= 0) H5Pclose(root);
  if (access >= 0) H5Pclose(access);
  return b->file < 0 ? pl_h5_fail(PL_E_IO, b->path, "cannot create the file") : PL_OK;
}

static pl_status create_group(const builder *b, const char *name) {
  hid_t group = H5Gcreate2(b->file, name, H5P_DEFAULT, b->grouped, H5P_DEFAULT);
  if (group < 0 || H5Gclose(group) < 0) return pl_h5_fail(PL_E_IO, b->path, name);
  return PL_OK;
}

/* Makes an array; writes `entries` into it, or tells by `at` where its bytes are to go. */
static pl_status create_array(const builder *b, const char *name, hid_t type, int rank,
                              const hsize_t *dims, const void *entries, int64_t *at) {
  hid_t array = -1;
  pl_status status = PL_OK;
  hid_t space = H5Screate_simple(rank, dims, NULL);
  if (space >= 0) {
    array = H5Dcreate2(b->file, name, type, space, H5P_DEFAULT, b->stored, H5P_DEFAULT);
  }
  if (array < 0 || (entries && H5Dwrite(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, entries) < 0)) {
    status = pl_h5_fail(PL_E_IO, b->path, name);
  } else if (at) {
    haddr_t address = H5Dget_offset(array);
    if (address == HADDR_UNDEF && dims[0] > 0) status = pl_h5_fail(PL_E_IO, b->path, name);
    *at = address == HADDR_UNDEF ? 0 : (int64_t)address;
  }
  if (array >= 0 && H5Dclose(array) < 0 && status == PL_OK) {
    status = pl_h5_fail(PL_E_IO, b->path, name);
  }
  if (space >= 0) H5Sclose(space);
  return status;
}

static pl_status create_small_arrays(const builder *b, const pl_layout *layout) {
  const hid_t types[] = {[PL_LAYOUT_INT32] = H5T_STD_I32LE,
                         [PL_LAYOUT_INT64] = H5T_STD_I64LE,
                         [PL_LAYOUT_UINT32] = H5T_STD_U32LE};
  for (size_t i = 0; i < layout->array_count; i++) {
    const pl_layout_array *a = &layout->arrays[i];
    bool text = strncmp(a->name, "/text/", 6) == 0;
    bool encoded = strncmp(a->name, "/image/", 7) == 0;
    if (text && !layout->options.captions) continue;
    if (encoded && layout->options.storage != PL_IMAGE_ENCODED) continue;
    hsize_t count = a->count;
    PL_TRY(create_array(b, a->name, types[a->type], 1, &count, count ? a->entries : NULL, NULL));
  }
  return PL_OK;
}

static pl_status create_large_arrays(const builder *b, pl_layout *layout) {
  const pl_shard_options *o = &layout->options;
  if (o->captions) {
    hsize_t bytes = (hsize_t)layout->text_bytes;
    PL_TRY(create_array(b, "/text/bytes", H5T_STD_U8LE, 1, &bytes, NULL, &layout->texts_at));
  }
  if (o->storage == PL_IMAGE_PIXELS) {
    hsize_t dims[] = {(hsize_t)layout->samples, (hsize_t)o->height, (hsize_t)o->width, 3};
    return create_array(b, "/image/pixels", H5T_STD_U8LE, 4, dims, NULL, &layout->images_at);
  }
  hsize_t bytes = (hsize_t)layout->image_bytes;
  return create_array(b, "/image/bytes", H5T_STD_U8LE, 1, &bytes, NULL, &layout->images_at);
}

static pl_status build(builder *b, pl_layout *layout) {
  PL_TRY(make_properties(b));
  PL_TRY(create_file(b));
  PL_TRY(create_group(b, "/image"));
  if (layout->options.captions) PL_TRY(create_group(b, "/text"));
  PL_TRY(create_small_arrays(b, layout));
  return create_large_arrays(b, layout);
}

pl_status pl_layout_create(pl_layout *layout) {
  builder b = {.path = layout->path, .file = -1, .stored = -1, .grouped = -1};
  pl_h5_quiet();
  pl_status status = build(&b, layout);
  if (b.stored >= 0) H5Pclose(b.stored);
  if (b.grouped >= 0) H5Pclose(b.grouped);
  if (b.file >= 0 && H5Fclose(b.file) < 0 && status == PL_OK) {
    status = pl_h5_fail(PL_E_IO, b.path, "cannot close the file");
  }
  return status;
}
