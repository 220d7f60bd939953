// SPDX-License-Identifier: GPL-2.0-or-later
// A vector of LMP_UQ_VECTOR_BYTES bytes, for sources that are compiled once per instruction set. Such sources include no header whose
// functions could be emitted for all processors: the linker keeps one copy of an inline function, perhaps the one with wide vectors.
#ifndef LMP_UQ_SIMD_H
#define LMP_UQ_SIMD_H

#if !defined(LMP_UQ_VECTOR_BYTES) || !defined(LMP_UQ_ISA)
#error "compile with LMP_UQ_VECTOR_BYTES and LMP_UQ_ISA, see CMakeLists.txt"
#endif
#define LMP_UQ_ALWAYS __attribute__((always_inline))    // of a lambda: GCC keeps loops' lambdas as functions of their own
#define LMP_UQ_INLINE inline LMP_UQ_ALWAYS

namespace lmp_uq {
namespace LMP_UQ_ISA {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int VECTOR_REGISTERS = 32;
#else
constexpr int VECTOR_REGISTERS = 16;
#endif

template <class T> struct Simd {
  typedef T vector __attribute__((vector_size(LMP_UQ_VECTOR_BYTES), may_alias));
  static constexpr int width = LMP_UQ_VECTOR_BYTES / static_cast<int>(sizeof(T));
};
template <class T> using Vector = typename Simd<T>::vector;

template <class T> LMP_UQ_INLINE Vector<T> load(const T *p) { return *reinterpret_cast<const Vector<T> *>(p); }
template <class T> LMP_UQ_INLINE void store(T *p, Vector<T> v) { *reinterpret_cast<Vector<T> *>(p) = v; }

// f(Index<0>), ..., f(Index<N-1>): loops whose arrays of vectors have to live in registers
template <int I> struct Index {
  static constexpr int value = I;
};
template <int N, int I = 0, class F> LMP_UQ_INLINE void unroll(const F &f)
{
  if constexpr (I < N) {
    f(Index<I>{});
    unroll<N, I + 1>(f);
  }
}

// sums of neighbouring lanes: those of a, then those of b
template <class T> LMP_UQ_INLINE Vector<T> neighbour_sums(Vector<T> a, Vector<T> b)
{
  constexpr int width = Simd<T>::width;
#ifdef __clang__
  if constexpr (width == 2) {
    return __builtin_shufflevector(a, b, 0, 2) + __builtin_shufflevector(a, b, 1, 3);
  } else if constexpr (width == 4) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
  } else if constexpr (width == 8) {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14) + __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15);
  } else {
    return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
        __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  }
#else
  decltype(a < b) even{}, odd{};    // integers of the same width
  for (int k = 0; k < width; ++k) {
    even[k] = 2 * k;
    odd[k] = 2 * k + 1;
  }
  return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, odd);
#endif
}

// lane k of the result is the sum of the lanes of v[k], k = 0 .. width-1
template <class T, int N = Simd<T>::width> LMP_UQ_INLINE Vector<T> lane_sums(const Vector<T> *v)
{
  if constexpr (N == 1) {
    return v[0];
  } else {
    Vector<T> half[N / 2];
    unroll<N / 2>([&](auto k) LMP_UQ_ALWAYS { half[k.value] = neighbour_sums<T>(v[2 * k.value], v[2 * k.value + 1]); });
    return lane_sums<T, N / 2>(half);
  }
}

// adds v to doubles
template <class T> LMP_UQ_INLINE void add_widened(Vector<T> v, double *out)
{
  constexpr int n = Simd<T>::width < Simd<double>::width ? Simd<T>::width : Simd<double>::width;
  for (int first = 0; first < Simd<T>::width; first += n) {
    Vector<double> wide;
    for (int k = 0; k < n; ++k) wide[k] = static_cast<double>(v[first + k]);
    store(out + first, load(out + first) + wide);
  }
}

}    // namespace LMP_UQ_ISA
}    // namespace lmp_uq
#endif
