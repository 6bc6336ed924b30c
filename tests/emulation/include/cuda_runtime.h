/* Where device code finds the emulated language. */
#include "tests/emulation/inexact.h"
#include "tests/emulation/language.h"
#include "tests/emulation/tensor_core.h"
