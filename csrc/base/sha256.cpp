// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/sha256.h"

#include <cstdint>
#include <cstring>

namespace lmp_uq {
namespace {

// the first 32 bits of the fractions of the cube roots of the first 64 primes
const std::uint32_t ROUND[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

std::uint32_t rotated(std::uint32_t x, int n) { return x >> n | x << (32 - n); }

void add_block(std::uint32_t state[8], const unsigned char *block)
{
  std::uint32_t w[64], s[8];
  for (int t = 0; t < 16; t++, block += 4)
    w[t] = std::uint32_t(block[0]) << 24 | std::uint32_t(block[1]) << 16 | std::uint32_t(block[2]) << 8 | block[3];
  for (int t = 16; t < 64; t++) {
    const std::uint32_t a = w[t - 15], b = w[t - 2];
    w[t] = w[t - 16] + w[t - 7] + (rotated(a, 7) ^ rotated(a, 18) ^ a >> 3) + (rotated(b, 17) ^ rotated(b, 19) ^ b >> 10);
  }
  std::memcpy(s, state, sizeof(s));
  // the names of the eight words turn from round to round, the words stay where they are
  const auto round = [&](int t, int turn) {
    const auto word = [&](int k) -> std::uint32_t & { return s[(k - turn) & 7]; };
    const std::uint32_t e = word(4), a = word(0);
    const std::uint32_t first =
        word(7) + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + ((e & word(5)) ^ (~e & word(6))) + ROUND[t] + w[t];
    word(3) += first;
    word(7) = first + (rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & word(1)) ^ (a & word(2)) ^ (word(1) & word(2)));
  };
  for (int t = 0; t < 64; t += 8)
    for (int turn = 0; turn < 8; turn++) round(t + turn, turn);
  for (int k = 0; k < 8; k++) state[k] += s[k];
}

}    // namespace

std::string sha256(const unsigned char *bytes, std::size_t n)
{
  std::uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const std::size_t whole = n / 64 * 64, rest = n - whole;
  for (std::size_t k = 0; k < whole; k += 64) add_block(state, bytes + k);
  unsigned char tail[128] = {};
  for (std::size_t k = 0; k < rest; k++) tail[k] = bytes[whole + k];
  tail[rest] = 0x80;
  const std::size_t end = rest < 56 ? 64 : 128;
  for (int k = 0; k < 8; k++) tail[end - 1 - k] = static_cast<unsigned char>(8 * std::uint64_t(n) >> (8 * k));
  for (std::size_t k = 0; k < end; k += 64) add_block(state, tail + k);
  std::string out;
  for (int k = 0; k < 64; k++) out += "0123456789abcdef"[state[k / 8] >> (28 - 4 * (k % 8)) & 15];
  return out;
}

}    // namespace lmp_uq
