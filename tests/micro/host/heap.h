// SPDX-License-Identifier: MIT
// Counts every allocation of the program; link with -Wl,--wrap=malloc, or
// define NO_HEAP_COUNTER where a sanitizer has its own malloc.
#pragma once

#ifdef NO_HEAP_COUNTER
namespace heap {
inline int allocations() { return 0; }
inline bool counts() { return true; }
}  // namespace heap
#else

#include <stdlib.h>

#include <new>

namespace heap {
// Volatile: the compiler knows malloc and thinks that it changes no variable.
inline volatile int& allocations() {
  static volatile int count = 0;
  return count;
}
}  // namespace heap

extern "C" {
void* __real_malloc(size_t bytes);
void* __wrap_malloc(size_t bytes);
void* __wrap_malloc(size_t bytes) {
  heap::allocations() = heap::allocations() + 1;
  return __real_malloc(bytes);
}
}

// Through malloc, so that new is counted too.
void* operator new(size_t bytes) { return malloc(bytes); }
void operator delete(void* memory) noexcept { free(memory); }
void operator delete(void* memory, size_t) noexcept { free(memory); }

namespace heap {
// The counter must count, or a test of it proves nothing.
inline bool counts() {
  const int before = allocations();
  void* volatile block = malloc(1);
  free(block);
  // A new-expression may be optimised away, a call may not.
  void* volatile number = ::operator new(sizeof(int));
  ::operator delete(number);
  return allocations() == before + 2;
}
}  // namespace heap

#endif
