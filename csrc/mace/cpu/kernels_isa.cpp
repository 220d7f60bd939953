// SPDX-License-Identifier: GPL-2.0-or-later
// Compiled once per instruction set with LMP_UQ_ISA (a name) and LMP_UQ_VECTOR_BYTES; offers its loops to dispatch.cpp.
#include "mace/cpu/nodes_impl.h"

#define LMP_UQ_TEXT_(x) #x
#define LMP_UQ_TEXT(x) LMP_UQ_TEXT_(x)

namespace lmp_uq {
namespace LMP_UQ_ISA {

template <class T, int L, int M> void choose(Kernels<T> &k)
{
  k.message_forward = message_forward<T, L, M>;
  k.message_reverse = message_reverse<T, L, M>;
}

template <class T, int M> void choose(Kernels<T> &k, int l_in)
{
  k.first_forward = first_forward<T, M>;
  k.first_reverse = first_reverse<T, M>;
  if (l_in == 0) choose<T, 0, M>(k);
  if (l_in == 1) choose<T, 1, M>(k);
  if (l_in == 2) choose<T, 2, M>(k);
}

template <class T> Kernels<T> choose(int l_in, int l_max)
{
  Kernels<T> k{LMP_UQ_TEXT(LMP_UQ_ISA), nullptr, nullptr, nullptr, nullptr, product_forward<T>, product_reverse<T>, gemm<T>};
  if (l_max == 1) choose<T, 1>(k, l_in);
  if (l_max == 2) choose<T, 2>(k, l_in);
  if (l_max == 3) choose<T, 3>(k, l_in);
  return k;
}

Kernels<double> kernels_double(int l_in, int l_max) { return choose<double>(l_in, l_max); }
Kernels<float> kernels_float(int l_in, int l_max) { return choose<float>(l_in, l_max); }

}    // namespace LMP_UQ_ISA
}    // namespace lmp_uq
