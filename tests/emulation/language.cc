#include "tests/emulation/language.h"

#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <memory>
#include <vector>

#include "tests/emulation/queue.h"
#include "tests/emulation/runtime.h"
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif

emulated_index threadIdx, blockIdx, blockDim, gridDim;

namespace {

const unsigned WARP = 32;

/* Stacks begin at different places of their pages: else all would want the same lines of the
 * caches. */
const size_t STACK_BYTES = 64 << 10, STAGGER = 4096, STAGGER_STEP = 192;

enum class state { unstarted, ready, at_sync, at_exchange, at_together, returned };

/* The C library's jumps look at signals, clean-ups and, under the address sanitizer, whole stacks.
 */
typedef void *jump_target[5];

/* Where a stack was left. */
struct place {
  ucontext_t context; /* first of all where it begins */
  jump_target jump;
  bool has_jump;
  const void *lowest; /* of the stack, and its size */
  size_t bytes;
  void *shadow; /* the address sanitizer's */
};

/* The address sanitizer is told which stack comes next, and, on arrival, whose it is; then it tells
 * where the stack lay that was left. */
void tell_leaving(place *from, place *to) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from->shadow, to->lowest, to->bytes);
#else
  (void)from, (void)to;
#endif
}

void tell_arriving(place *here, place *left) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(here->shadow, &left->lowest, &left->bytes);
#else
  (void)here, (void)left;
#endif
}

/* Leaves one stack for another. swapcontext asks the kernel for the signal mask each time, so
 * contexts are only for the beginning. */
__attribute__((no_sanitize_address, noinline)) void switch_stacks(place *from, place *to) {
  from->has_jump = true;
  tell_leaving(from, to);
  if (__builtin_setjmp(from->jump) == 0) {
    if (to->has_jump) __builtin_longjmp(to->jump, 1);
    setcontext(&to->context);
  }
  tell_arriving(from, to);
}

/* A stack that runs threads of blocks to their end, one after another. */
struct fiber {
  place at;
  std::unique_ptr<char[]> stack;
};

/* A copy under way. */
struct copy {
  void *to;
  const void *from;
  size_t bytes;
  bool there;
  unsigned group;
};

struct thread {
  state now;
  fiber *on;     /* where it waits */
  unsigned mask; /* at_exchange: lanes that take part */
  unsigned from; /* and the one whose value it wants */
  uint64_t given, got;
  void *own; /* at_together: what it brought */
  void (*work)(void *const *lanes);
  std::vector<copy> copies;
  unsigned groups; /* of copies, committed so far */
};

/* The block under way. */
std::vector<thread> threads;
const std::function<void()> *body;
unsigned current, started, alive;
bool backwards;
unsigned syncing; /* threads at_sync, all of them at this place: */
const char *sync_file;
int sync_line;

place scheduler;
std::vector<std::unique_ptr<fiber>> fibers;
std::vector<fiber *> idle;
fiber *running;

[[noreturn]] void give_up(const char *what) {
  fprintf(stderr, "emulated device code: %s (block %u of %u, thread %u of %u)\n", what, blockIdx.x,
          gridDim.x, current, blockDim.x);
  abort();
}

void make_current(unsigned index) {
  current = index;
  threadIdx.x = index;
}

/* All that have not returned are at __syncthreads: they go on. */
void release_sync() {
  if (syncing == 0 || syncing < alive) return;
  for (thread &t : threads)
    if (t.now == state::at_sync) t.now = state::ready;
  syncing = 0;
}

bool takes_part(const thread &t, unsigned mask) {
  return t.now == state::at_exchange && t.mask == mask;
}

/* All lanes of `mask` that have not returned are there: each gets the value that it wants. Whose
 * turn is last is asked first, since most calls find it missing. */
void release_exchange(unsigned warp, unsigned mask) {
  unsigned first = warp * WARP, last = min(first + WARP, (unsigned)threads.size());
  for (unsigned turn = 0; turn < last - first; turn++) {
    unsigned lane = backwards ? turn : last - first - 1 - turn;
    const thread &t = threads[first + lane];
    if (mask >> lane & 1 && t.now != state::returned && !takes_part(t, mask)) return;
  }
  for (unsigned i = first; i < last; i++) {
    thread &t = threads[i];
    if (!takes_part(t, mask)) continue;
    if (first + t.from >= last || !takes_part(threads[first + t.from], mask))
      give_up("a shuffle reads from a lane that takes no part");
    t.got = threads[first + t.from].given;
  }
  for (unsigned i = first; i < last; i++) {
    if (takes_part(threads[i], mask)) threads[i].now = state::ready;
  }
}

/* Whoever returns may be the one that others waited for. */
void thread_returned() {
  if (!threads[current].copies.empty()) give_up("a thread returns while it copies");
  threads[current].now = state::returned;
  alive--;
  release_sync();
  unsigned warp = current / WARP, first = warp * WARP;
  for (unsigned i = first; i < first + WARP && i < threads.size(); i++) {
    if (threads[i].now == state::at_exchange) release_exchange(warp, threads[i].mask);
  }
}

/* The next thread in the order of turns; false: all have been started. */
bool start_next() {
  if (started == threads.size()) return false;
  make_current(backwards ? (unsigned)threads.size() - 1 - started : started);
  started++;
  return true;
}

void fiber_main() {
  tell_arriving(&running->at, &scheduler);
  for (;;) {
    fiber *self = running;
    while (start_next()) {
      threads[current].now = state::ready;
      threads[current].on = self;
      (*body)();
      thread_returned();
    }
    idle.push_back(self);
    switch_stacks(&self->at, &scheduler);
  }
}

fiber *an_idle_fiber() {
  if (idle.empty()) {
    fibers.push_back(std::make_unique<fiber>());
    fiber *f = fibers.back().get();
    f->stack.reset(new char[STACK_BYTES + STAGGER]);
    char *lowest = f->stack.get() + fibers.size() * STAGGER_STEP % STAGGER;
    f->at.lowest = lowest;
    f->at.bytes = STACK_BYTES;
    getcontext(&f->at.context);
    f->at.context.uc_stack.ss_sp = lowest;
    f->at.context.uc_stack.ss_size = STACK_BYTES;
    f->at.context.uc_link = nullptr;
    makecontext(&f->at.context, fiber_main, 0);
    idle.push_back(f);
  }
  fiber *f = idle.back();
  idle.pop_back();
  return f;
}

void switch_to(fiber *f) {
  running = f;
  switch_stacks(&scheduler, &f->at);
}

/* The current thread lets others run until it is ready. */
void wait_here() {
  unsigned me = current;
  while (threads[me].now != state::ready) switch_stacks(&threads[me].on->at, &scheduler);
  make_current(me);
}

void run_block() {
  size_t count = threads.size();
  alive = (unsigned)count;
  started = syncing = 0;
  for (thread &t : threads) {
    t.now = state::unstarted;
    t.groups = 0;
  }
  while (alive > 0) {
    bool ran = false;
    for (size_t i = 0; i < count; i++) {
      thread &t = threads[backwards ? count - 1 - i : i];
      if (t.now != state::ready && t.now != state::unstarted) continue;
      ran = true;
      switch_to(t.now == state::ready ? t.on : an_idle_fiber());
    }
    if (!ran) give_up("threads wait for others that never come");
  }
}

}  // namespace

void emulated_turn_backwards(bool on) { backwards = on; }

unsigned emulated_lane(void) { return current % WARP; }

void emulated_sync(const char *file, int line) {
  if (syncing == 0) {
    sync_file = file;
    sync_line = line;
  } else if (line != sync_line || (file != sync_file && strcmp(file, sync_file) != 0)) {
    give_up("threads of a block wait at different places");
  }
  threads[current].now = state::at_sync;
  syncing++;
  release_sync();
  wait_here();
}

uint64_t emulated_exchange(unsigned mask, uint64_t bits, unsigned from) {
  unsigned warp = current / WARP;
  if (!(mask >> emulated_lane() & 1)) give_up("a thread is not in its own mask");
  thread &t = threads[current];
  t.now = state::at_exchange;
  t.mask = mask;
  t.from = from;
  t.given = bits;
  release_exchange(warp, mask);
  wait_here();
  return t.got;
}

void emulated_together(void *own, void (*work)(void *const *lanes)) {
  thread *first = &threads[current / WARP * WARP], &me = threads[current];
  if (current / WARP * WARP + WARP > threads.size()) give_up("a warp lacks lanes");
  me.now = state::at_together;
  me.own = own;
  me.work = work;
  void *all[WARP];
  bool complete = true;
  for (unsigned lane = 0; lane < WARP && complete; lane++) {
    complete = first[lane].now == state::at_together;
    if (complete && first[lane].work != work) give_up("lanes of a warp do different things");
    all[lane] = first[lane].own;
  }
  if (complete) {
    work(all);
    for (unsigned lane = 0; lane < WARP; lane++) first[lane].now = state::ready;
  }
  wait_here();
}

void emulated_copy_async(void *shared, const void *from, size_t bytes, bool there) {
  if ((uintptr_t)shared % bytes != 0 || (uintptr_t)from % bytes != 0)
    give_up("a copy is not aligned to its size");
  thread &t = threads[current];
  t.copies.push_back({shared, from, bytes, there, t.groups});
}

void emulated_commit_copies(void) { threads[current].groups++; }

void emulated_wait_for_copies(unsigned groups_left) {
  thread &t = threads[current];
  std::vector<copy> left;
  for (const copy &c : t.copies) {
    if (c.group + groups_left >= t.groups)
      left.push_back(c);
    else if (c.there)
      memcpy(c.to, c.from, c.bytes);
    else
      memset(c.to, 0, c.bytes);
  }
  t.copies = std::move(left);
}

void emulated_run(size_t blocks, size_t threads_per_block, const std::function<void()> &thread) {
  threads.resize(threads_per_block);
  body = &thread;
  blockDim.x = (unsigned)threads_per_block;
  gridDim.x = (unsigned)blocks;
  for (size_t block = 0; block < blocks; block++) {
    blockIdx.x = (unsigned)block;
    run_block();
  }
}
