#include "runtime/config/keys.h"

#include <string.h>

/* Columns in the order of pl_cfg_augment. CIFAR: SimCLR's colour distortion at full strength and no
 * blur (Chen 2020, appendix B.9), crops down to 8 % of the area. ImageNet: the same with blur
 * (appendix A). None: the whole image as it is, normalised. Means and deviations are those of the
 * respective training sets. */
enum { PRESETS = 3 };
static const struct {
  const char *key, *value[PRESETS];
} rows[] = {
    {"augment.crop_min", {"0.08", "0.08", "1"}},
    {"augment.crop_max", {"1", "1", "1"}},
    {"augment.aspect_min", {"0.75", "0.75", "1"}},
    {"augment.aspect_max", {"1.3333333333333333", "1.3333333333333333", "1"}},
    {"augment.interpolation", {"bilinear", "bilinear", "bilinear"}},
    {"augment.flip", {"0.5", "0.5", "0"}},
    {"augment.jitter", {"0.8", "0.8", "0"}},
    {"augment.brightness", {"0.8", "0.8", "0"}},
    {"augment.contrast", {"0.8", "0.8", "0"}},
    {"augment.saturation", {"0.8", "0.8", "0"}},
    {"augment.hue", {"0.2", "0.2", "0"}},
    {"augment.grey", {"0.2", "0.2", "0"}},
    {"augment.blur", {"0", "0.5", "0"}},
    {"augment.blur_sigma_min", {"0.1", "0.1", "0.1"}},
    {"augment.blur_sigma_max", {"2", "2", "2"}},
    {"augment.blur_kernel", {"auto", "auto", "auto"}},
    {"augment.solarize", {"0", "0", "0"}},
    {"augment.centre_ratio", {"1", "0.875", "1"}},
    {"augment.mean", {"0.4914, 0.4822, 0.4465", "0.485, 0.456, 0.406", "0.4914, 0.4822, 0.4465"}},
    {"augment.std", {"0.247, 0.2435, 0.2616", "0.229, 0.224, 0.225", "0.247, 0.2435, 0.2616"}},
};

void pl_preset_follow(const pl_key *key, pl_config *config, const bool *given) {
  if (strcmp(key->name, "augment.preset") != 0) return;
  for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
    int index = pl_key_find(rows[row].key);
    PL_INVARIANT(index >= 0);
    if (given && given[index]) continue;
    pl_value_set_known(&pl_keys[index], config, rows[row].value[config->augment.preset]);
  }
}
