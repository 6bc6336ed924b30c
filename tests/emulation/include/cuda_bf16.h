/* bf16 is part of the emulated language. */
#include "tests/emulation/language.h"
