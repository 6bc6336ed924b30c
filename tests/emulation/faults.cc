#include "tests/emulation/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

namespace {

[[noreturn]] void misunderstood(const char *name, const char *text) {
  fprintf(stderr, "emulated machine: %s can't be %s\n", name, text);
  abort();
}

long number(const char *name, long usual) {
  const char *text = getenv(name);
  if (!text) return usual;
  char *end;
  long value = strtol(text, &end, 10);
  if (end == text || *end != '\0' || value < 0) misunderstood(name, text);
  return value;
}

}  // namespace

emulated_host fault_host(void) {
  emulated_host host = {1, 13000, 9, 0};
  host.devices = (int)number("PLENUM_EMULATED_DEVICES", host.devices);
  host.driver = (int)number("PLENUM_EMULATED_DRIVER", host.driver);
  const char *capability = getenv("PLENUM_EMULATED_CAPABILITY");
  if (capability && sscanf(capability, "%d.%d", &host.major, &host.minor) != 2)
    misunderstood("PLENUM_EMULATED_CAPABILITY", capability);
  return host;
}

size_t fault_memory(size_t most) {
  size_t asked = (size_t)number("PLENUM_EMULATED_MEMORY", (long)most);
  return asked < most ? asked : most;
}

size_t fault_memory_of_others(size_t most) {
  size_t held = (size_t)number("PLENUM_EMULATED_TAKEN", 0);
  return held < most ? held : most;
}

bool fault_refuses(const char *what) {
  const char *refused = getenv("PLENUM_EMULATED_REFUSES");
  return refused && strcmp(refused, what) == 0;
}

bool fault_breaks(void) {
  static const long last = number("PLENUM_EMULATED_BREAKS", 0);
  static long kernels;
  return ++kernels == last;
}

bool fault_loses(void) {
  static const long last = number("PLENUM_EMULATED_LOSES", 0);
  static long exchanges;
  return ++exchanges == last;
}
