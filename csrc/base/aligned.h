// SPDX-License-Identifier: GPL-2.0-or-later
// Arrays aligned to 64 bytes that keep their memory when they shrink.
#ifndef LMP_UQ_ALIGNED_H
#define LMP_UQ_ALIGNED_H

#include <algorithm>
#include <cstddef>
#include <new>
#include <utility>

namespace lmp_uq {

template <class T> class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(std::size_t n) { resize(n); }
  ~Aligned() { release(); }
  Aligned(Aligned &&other) noexcept { swap(other); }
  Aligned &operator=(Aligned &&other) noexcept
  {
    swap(other);
    return *this;
  }
  Aligned(const Aligned &) = delete;
  Aligned &operator=(const Aligned &) = delete;

  // content is lost where it grows
  void resize(std::size_t n)
  {
    if (n > capacity_) {
      release();
      data_ = static_cast<T *>(::operator new(n * sizeof(T), std::align_val_t(64)));
      capacity_ = n;
    }
    size_ = n;
  }
  void zero(std::size_t n)
  {
    resize(n);
    std::fill(data_, data_ + n, T{});
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  T *data() { return data_; }
  const T *data() const { return data_; }
  T &operator[](std::size_t k) { return data_[k]; }
  const T &operator[](std::size_t k) const { return data_[k]; }

 private:
  void swap(Aligned &other)
  {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }
  void release()
  {
    if (data_) ::operator delete(data_, std::align_val_t(64));
    data_ = nullptr;
    size_ = capacity_ = 0;
  }

  T *data_ = nullptr;
  std::size_t size_ = 0, capacity_ = 0;
};

}    // namespace lmp_uq
#endif
