// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/environment.h"
#include "mace/cpu/kernels.h"

#include <algorithm>
#include <string>
#include <vector>

namespace lmp_uq {

#define LMP_UQ_DECLARE(isa)                              \
  namespace isa {                                        \
  Kernels<double> kernels_double(int l_in, int l_max);   \
  Kernels<float> kernels_float(int l_in, int l_max);     \
  }
LMP_UQ_DECLARE(generic)
#ifdef LMP_UQ_X86
LMP_UQ_DECLARE(avx2)
LMP_UQ_DECLARE(avx512)
#endif

namespace {

enum Isa { GENERIC, AVX2, AVX512, N_ISAS };
constexpr const char *NAMES[N_ISAS] = {"generic", "avx2", "avx512"};

Isa widest()
{
#ifdef LMP_UQ_X86
  __builtin_cpu_init();
  // all that CMakeLists.txt lets the compiler use for a set of loops, and nothing else
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw");
  if (avx2 && avx512) return AVX512;
  if (avx2) return AVX2;
#endif
  return GENERIC;
}

Isa wanted()
{
  const Isa best = widest();
  const std::vector<std::string> accepted(NAMES, NAMES + best + 1);
  const std::string word = environment_word("LMP_UQ_SIMD", accepted, " on this processor");
  return word.empty() ? best : static_cast<Isa>(std::find(accepted.begin(), accepted.end(), word) - accepted.begin());
}

}    // namespace

template <> Kernels<double> kernels<double>(int l_in, int l_max)
{
  switch (wanted()) {
#ifdef LMP_UQ_X86
    case AVX512: return avx512::kernels_double(l_in, l_max);
    case AVX2: return avx2::kernels_double(l_in, l_max);
#endif
    default: return generic::kernels_double(l_in, l_max);
  }
}

template <> Kernels<float> kernels<float>(int l_in, int l_max)
{
  switch (wanted()) {
#ifdef LMP_UQ_X86
    case AVX512: return avx512::kernels_float(l_in, l_max);
    case AVX2: return avx2::kernels_float(l_in, l_max);
#endif
    default: return generic::kernels_float(l_in, l_max);
  }
}

}    // namespace lmp_uq
