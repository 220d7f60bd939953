// SPDX-License-Identifier: GPL-2.0-or-later
// Preloaded by tests/test_lammps_exceptions.py: memory that runs out on one rank, at a moment of the test's choice.
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
thread_local std::size_t smallest = 0;    // bytes; 0: nothing fails
}

// the next allocation of so many bytes or more throws
extern "C" void fail_next_new(std::size_t bytes) { smallest = bytes; }

void *operator new(std::size_t bytes)
{
  if (smallest && bytes >= smallest) {
    smallest = 0;
    throw std::bad_alloc();
  }
  if (void *memory = std::malloc(bytes ? bytes : 1)) return memory;
  throw std::bad_alloc();
}

void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }
