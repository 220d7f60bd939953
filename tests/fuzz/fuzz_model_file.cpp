// SPDX-License-Identifier: GPL-2.0-or-later
// Damages model files at random and hands them to the reader, and what it still accepts to the posterior head: nothing but an error of one
// line may come of it. Run by tests/fuzz/run.sh under AddressSanitizer and UndefinedBehaviorSanitizer.
//
//   fuzz_model_file SEED SECONDS FILE...
//
// Iteration k of a seed is always the same. An input that breaks the reader is written to broken.uq.
#include "mace/engine.h"
#include "file/model_file.h"
#include "head/posterior.h"
#include "linear/descriptor_source.h"

#include <sanitizer/common_interface_defs.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Random = std::mt19937_64;

std::string input;    // under test, for the death callback
const char *const WORDS[] = {"0", "-1", "1", "18446744073709551616", "1152921504606846975", "9223372036854775807", "1e400", "-0.0", "1e-400",
                             "NaN", "null", "true", "{}", "[]", "[0,0]", "\"F64\"", "\"U8\"", "\"F16\"", "\"\"", "\"\\ud800\"", "\"\\u0000\"",
                             "[[[[[[[[[[[[", "\xff", "\xc3\xa9", "\"posterior/lower\":", "\"lmp_uq\":", "\\\"bias\\\":\\\"none\\\"",
                             "\\\"n_modes\\\":0", "\\\"n_members\\\":3", "\\\"levels\\\":[0.5]", ",", ":", "}", "\\"};

std::size_t below(Random &random, std::size_t n) { return n ? random() % n : 0; }

std::size_t header_end(const std::string &bytes)
{
  std::uint64_t length = 0;
  if (bytes.size() > 8) std::memcpy(&length, bytes.data(), 8);
  return length < bytes.size() - std::min<std::size_t>(bytes.size(), 8) ? 8 + length : bytes.size();
}

void set_header_length(std::string &bytes, std::uint64_t length)
{
  if (bytes.size() >= 8) std::memcpy(&bytes[0], &length, 8);
}

// a number, or a name in quotes, gives way to a word; the length in front of the header mostly follows
void change_word(std::string &bytes, Random &random)
{
  const std::size_t end = header_end(bytes), start = 8 + below(random, end > 8 ? end - 8 : 0);
  std::size_t first = start;
  while (first < end && !std::isdigit(static_cast<unsigned char>(bytes[first])) && bytes[first] != '"') first++;
  if (first >= end) return;
  std::size_t last = first + 1;
  if (bytes[first] == '"')
    while (last < end && bytes[last - 1 + (last == first + 1)] != '"') last++;
  else
    while (last < end && std::isdigit(static_cast<unsigned char>(bytes[last]))) last++;
  const std::string word = WORDS[below(random, std::size(WORDS))];
  bytes.replace(first, last - first, word);
  if (below(random, 8)) set_header_length(bytes, end - 8 + word.size() - (last - first));
}

void change_bytes(std::string &bytes, Random &random)
{
  const std::size_t at = below(random, bytes.size()), n = 1 + below(random, below(random, 4) ? 4 : 400);
  const std::size_t end = header_end(bytes), before = bytes.size();
  switch (below(random, 5)) {
    case 0: bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(random, 8))); break;
    case 1: for (std::size_t k = at; k < std::min(at + n, bytes.size()); k++) bytes[k] = static_cast<char>(random()); break;
    case 2: bytes.erase(at, n); break;
    case 3: bytes.insert(at, bytes.substr(below(random, bytes.size()), n)); break;
    default: bytes.insert(at, WORDS[below(random, std::size(WORDS))]);
  }
  if (at < end && below(random, 2)) set_header_length(bytes, end - 8 + bytes.size() - before);
}

std::string damaged(const std::string &seed, Random &random)
{
  std::string bytes = seed;
  for (std::size_t n = 1 + below(random, below(random, 3) ? 2 : 8); n > 0 && !bytes.empty(); n--)
    below(random, 2) ? change_word(bytes, random) : change_bytes(bytes, random);
  return bytes;
}

// everything that the head offers, on a few atoms
void use(const lmp_uq::ModelFile &file, Random &random)
{
  lmp_uq::PosteriorOptions options;
  options.learned = below(random, 2);
  options.conservative = below(random, 2);
  std::vector<int> elements(file.header().at("elements").array().size());
  for (std::size_t z = 0; z < elements.size(); z++) elements[z] = static_cast<int>(z);
  lmp_uq::Posterior head(file, elements, options);
  const std::size_t n = below(random, 60), width = head.n_descriptors();
  if (n * width > 1000000) return;
  std::vector<double> descriptors(n * width + 1, 0.5), energies(n + 1, -1.0), norm(n + 1, 0.1), out(3 * n + 3), sum(head.n_features() + 1);
  std::vector<std::int64_t> species(n + 1);
  for (auto &s : species) s = static_cast<std::int64_t>(below(random, elements.size() + 1)) - 1;
  for (auto &d : descriptors) d = static_cast<double>(random()) / 1e19 - 0.9;
  double *a = out.data(), *b = a + n + 1, *c = b + n + 1;
  if (head.has_grade()) head.grades(n, descriptors.data(), species.data(), a);
  const lmp_uq::ForceColumns variables = {norm.data(), a, a, head.uses_correction() ? norm.data() : nullptr};
  if (head.has_level(0.9)) head.force_errors(n, descriptors.data(), species.data(), variables, 0.9, b);
  if (head.has_quantiles()) head.errors_above(n, species.data(), variables, 0.1, b);
  if (!head.thresholds().empty()) head.reliabilities(n, descriptors.data(), species.data(), variables, 0.0, b);
  if (!head.has_box()) return;
  head.energy_bars(n, descriptors.data(), species.data(), energies.data(), a, b, c);
  head.feature_sum(n, descriptors.data(), species.data(), sum.data());
  std::vector<double> members(head.n_members() + 1);
  head.member_energies(sum.data(), 1.0, members.data());
  head.totals(sum.data(), 1.0, a);
}

std::string attempt(Random &random)
{
  std::unique_ptr<unsigned char[]> bytes(new unsigned char[input.size()]);    // of its exact size: the sanitizer watches its ends
  std::memcpy(bytes.get(), input.data(), input.size());
  try {
    const auto file = lmp_uq::ModelFile::parse("FILE", {std::move(bytes), input.size()});
    for (const auto &named : file.tensors()) named.second.doubles();
    use(file, random);
    const lmp_uq::Json &backbone = file.header().at("backbone");
    if (backbone.at("family").string() != "mace")
      lmp_uq::DescriptorSource::of(backbone, file.header().at("elements").array().size())->compute(lmp_uq::DescriptorSource::VIRIAL, {0, 0});
    else
      lmp_uq::Engine::make(backbone.at("architecture"), file.section("backbone"), {});
  } catch (const std::runtime_error &failure) {
    const std::string text = failure.what();
    return text.substr(0, text.find('\''));    // up to the first name or value: what kind of refusal it is
  }
  return "accepted";
}

void keep_input()
{
  std::ofstream("broken.uq", std::ios::binary) << input;
  std::fprintf(stderr, "the input is in broken.uq\n");
}

}    // namespace

int main(int argc, char **argv)
{
  if (argc < 4) return std::fprintf(stderr, "fuzz_model_file SEED SECONDS FILE...\n"), 2;
  std::vector<std::string> seeds;
  for (int k = 3; k < argc; k++) {
    std::ifstream file(argv[k], std::ios::binary);
    seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  __sanitizer_set_death_callback(keep_input);
  std::map<std::string, long> seen;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(std::atol(argv[2]));
  long iteration = 0;
  for (; std::chrono::steady_clock::now() < end; iteration++) {
    Random random(std::strtoull(argv[1], nullptr, 10) * 1000003 + static_cast<unsigned long>(iteration));
    const std::string &seed = seeds[below(random, seeds.size())];
    input = iteration < static_cast<long>(seeds.size()) ? seeds[iteration] : damaged(seed, random);
    try {
      seen[attempt(random)]++;
    } catch (const std::exception &failure) {
      keep_input();
      return std::fprintf(stderr, "iteration %ld: %s\n", iteration, failure.what()), 1;
    }
  }
  for (const auto &kind : seen) std::printf("%8ld  %s\n", kind.second, kind.first.c_str());
  std::printf("%ld inputs, %zu kinds of answers\n", iteration, seen.size());
  return 0;
}
