// SPDX-License-Identifier: GPL-2.0-or-later
// Stacks and the change between them.
#include "mace/cuda/emulation/machine.h"

#include <sys/mman.h>
#ifdef LMP_UQ_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

#if defined(__x86_64__) && !defined(LMP_UQ_SWAPCONTEXT)
extern "C" void lmp_uq_switch(void **from, void *to);    // keeps the registers that a call keeps, changes the stack
asm(".text\n.globl lmp_uq_switch\n.hidden lmp_uq_switch\n.type lmp_uq_switch,@function\nlmp_uq_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\nmov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.size lmp_uq_switch,.-lmp_uq_switch\n");
#endif

namespace emulation {
namespace {

constexpr std::size_t STACK = 256 << 10, CLOSED = 4096;

#if defined(__x86_64__) && !defined(LMP_UQ_SWAPCONTEXT)
void prepare(Fiber &f, char *top, void (*enter)())
{
  void **frame = reinterpret_cast<void **>(top) - 8;    // zeros: six registers, where to return to, one for alignment
  frame[6] = reinterpret_cast<void *>(enter);
  f.registers = frame;
}
void change(Fiber &from, Fiber &to) { lmp_uq_switch(&from.registers, to.registers); }
#else
void prepare(Fiber &f, char *top, void (*enter)())
{
  getcontext(&f.registers);
  f.registers.uc_stack = {f.stack, 0, static_cast<std::size_t>(top - f.stack)};
  f.registers.uc_link = nullptr;
  makecontext(&f.registers, enter, 0);
}
void change(Fiber &from, Fiber &to) { swapcontext(&from.registers, &to.registers); }    // ten times slower: two system calls
#endif

[[maybe_unused]] Fiber *left;    // the last one

}    // namespace

void make_fiber(Fiber &f, void (*enter)())
{
  static std::size_t n = 0;
  f.stack = static_cast<char *>(mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  f.bytes = STACK;
  if (f.stack == MAP_FAILED || mprotect(f.stack, CLOSED, PROT_NONE)) fail("no memory for %zu stacks", n);
  prepare(f, f.stack + STACK - n++ * 704 % 16384, enter);    // in other lines of the cache than the other stacks
#ifdef LMP_UQ_TSAN
  f.tsan = __tsan_create_fiber(0);
#endif
}

void make_host(Fiber &f)
{
  static_cast<void>(f);
#ifdef LMP_UQ_TSAN
  f.tsan = __tsan_get_current_fiber();
#endif
}

void arrive(void *fake_stack)
{
  static_cast<void>(fake_stack);
#ifdef LMP_UQ_ASAN
  const void *stack;
  std::size_t bytes;
  __sanitizer_finish_switch_fiber(fake_stack, &stack, &bytes);
  if (left->bytes != STACK) left->stack = static_cast<char *>(const_cast<void *>(stack)), left->bytes = bytes;    // the host's
#endif
}

void jump(Fiber &from, Fiber &to)
{
  void *fake_stack = nullptr;
#ifdef LMP_UQ_ASAN
  left = &from;
  __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.bytes);
#endif
#ifdef LMP_UQ_TSAN
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  change(from, to);
  arrive(fake_stack);
}

}    // namespace emulation
