#include <setjmp.h>
#include <stdio.h>

/* needs size_t and FILE, which it does not include itself */
#include <jpeglib.h>
/* the numbers of libjpeg's messages */
#include <jerror.h>

#include "runtime/data/decode_formats.h"

enum {
  /* A progressive file may hold any number of scans, each a pass over the whole image; real ones
   * have about ten. */
  SCANS_MAX = 500,
  /* Huffman coding spends at least one bit on a block of 8 x 8 pixels of the finest component. */
  PIXELS_PER_BYTE = 64 * 8 * 4
};

typedef struct jpeg_reader {
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr errors;
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  pl_status refused; /* a failure that already has its reason */
  char words[PL_DECODER_WORDS];
} jpeg_reader;

_Static_assert(PL_DECODER_WORDS >= JMSG_LENGTH_MAX, "libjpeg's messages must fit");

static void escape_with_message(j_common_ptr common) {
  jpeg_reader *reader = common->client_data;
  common->err->format_message(common, reader->words);
  longjmp(reader->escape, 1);
}

/* libjpeg carries on after damage with made-up pixels and calls that a warning; here it is the end.
 * Excepted are oddities that leave the pixels whole. */
static void on_message(j_common_ptr common, int level) {
  int code = common->err->msg_code;
  if (level >= 0) return; /* trace messages */
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM) return;
  escape_with_message(common);
}

static void ignore_output(j_common_ptr common) { (void)common; }

static void on_progress(j_common_ptr common) {
  jpeg_reader *reader = common->client_data;
  if (reader->jpeg.input_scan_number > SCANS_MAX) {
    snprintf(reader->words, sizeof reader->words, "more than %d scans", SCANS_MAX);
    longjmp(reader->escape, 1);
  }
}

/* Adobe's CMYK files hold 255 - ink, others ink. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int width, bool inverted) {
  unsigned flip = inverted ? 0 : 255;
  for (int x = 0; x < width; x++) {
    unsigned light = cmyk[4 * x + 3] ^ flip;
    for (int c = 0; c < 3; c++) {
      rgb[3 * x + c] = (uint8_t)(((cmyk[4 * x + c] ^ flip) * light + 127) / 255);
    }
  }
}

/* What libjpeg holds of an image while it reads one of several scans: all of its coefficients. */
static size_t coefficient_bytes(struct jpeg_decompress_struct *jpeg) {
  size_t blocks = 0;
  if (!jpeg_has_multiple_scans(jpeg)) return 0;
  for (int c = 0; c < jpeg->num_components; c++) {
    const jpeg_component_info *component = &jpeg->comp_info[c];
    blocks += (size_t)component->width_in_blocks * component->height_in_blocks;
  }
  return blocks * sizeof(JBLOCK);
}

/* The part that libjpeg may leave by longjmp: nothing here owns memory outside of reader->jpeg and
 * image. */
static void decode_rows(jpeg_reader *reader, const uint8_t *bytes, size_t size, pl_image *image) {
  struct jpeg_decompress_struct *jpeg = &reader->jpeg;
  jpeg_mem_src(jpeg, bytes, (unsigned long)size);
  jpeg_read_header(jpeg, TRUE);
  bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
  jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  reader->refused =
      pl_decode_reserve(image, jpeg->image_width, jpeg->image_height, size, PIXELS_PER_BYTE);
  if (reader->refused != PL_OK) return;
  image->decoder_bytes = coefficient_bytes(jpeg);
  jpeg_start_decompress(jpeg);
  JSAMPARRAY ink = NULL;
  if (cmyk) {
    ink = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, jpeg->output_width * 4, 1);
  }
  while (jpeg->output_scanline < jpeg->output_height) {
    uint8_t *row = image->pixels + (size_t)jpeg->output_scanline * jpeg->output_width * 3;
    jpeg_read_scanlines(jpeg, cmyk ? ink : &row, 1);
    if (cmyk) cmyk_to_rgb(ink[0], row, image->width, jpeg->saw_Adobe_marker);
  }
  jpeg_finish_decompress(jpeg);
}

/* `reader` belongs to the caller, so that what it holds is certain after a longjmp. */
static pl_status decode_guarded(jpeg_reader *reader, const uint8_t *bytes, size_t size,
                                pl_image *image) {
  if (setjmp(reader->escape) != 0) {
    return PL_FAIL(PL_E_DATA, "damaged JPEG: %s", reader->words);
  }
  jpeg_create_decompress(&reader->jpeg);
  reader->jpeg.progress = &reader->progress;
  decode_rows(reader, bytes, size, image);
  return reader->refused;
}

pl_status pl_decode_jpeg(const uint8_t *bytes, size_t size, pl_image *image) {
  jpeg_reader reader = {.refused = PL_OK};
  reader.jpeg.err = jpeg_std_error(&reader.errors);
  reader.errors.error_exit = escape_with_message;
  reader.errors.emit_message = on_message;
  reader.errors.output_message = ignore_output;
  reader.progress.progress_monitor = on_progress;
  reader.jpeg.client_data = &reader;
  pl_status status = decode_guarded(&reader, bytes, size, image);
  jpeg_destroy_decompress(&reader.jpeg);
  return status;
}
