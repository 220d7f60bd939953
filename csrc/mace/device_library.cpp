// SPDX-License-Identifier: GPL-2.0-or-later
#include "mace/device_library.h"

#include "base/environment.h"
#include "mace/problem.h"

#include <dlfcn.h>
#include <stdexcept>
#include <sys/stat.h>

namespace lmp_uq {
namespace {

constexpr const char *VARIABLE = "LMP_UQ_CUDA_LIBRARY", *FILE_NAME = "liblmp_uq_cuda.so";

[[noreturn]] void refuse(const std::string &text) { throw std::runtime_error(text); }

std::string own_folder()
{
  Dl_info info;
  if (!dladdr(reinterpret_cast<void *>(own_folder), &info)) return "";
  const std::string path = info.dli_fname;
  return path.substr(0, path.rfind('/') + 1);
}

void *opened(const std::string &path, bool named)
{
  struct stat status;
  if (stat(path.c_str(), &status) != 0)
    refuse(named ? std::string(VARIABLE) + " is '" + path + "', which is no file"
                 : "this build has no CUDA kernels (" + path + " is missing); rebuild with nvcc on PATH, see docs/build.md");
  void *const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) refuse(path + " cannot be loaded: " + dlerror());
  return library;
}

template <class F> F *function(void *library, const char *name, const std::string &path)
{
  auto *const found = reinterpret_cast<F *>(dlsym(library, name));
  if (!found) refuse(path + " is no CUDA library of lmp-uq: it has no " + name);
  return found;
}

DeviceChoice cuda_device(const std::string &word, int local_rank)
{
  const lmp_uq_cuda_calls &cuda = cuda_library();
  DeviceChoice out;
  without_problem([&](char *problem, int size) { out.n_devices = cuda.n_devices(problem, size); });
  out.number = word == "cuda" ? local_rank % out.n_devices : std::stoi(word.substr(5));
  without_problem([&](char *problem, int size) { cuda.use(out.number, problem, size); });
  return out;
}

bool is_numbered(const std::string &word)
{
  return word.rfind("cuda:", 0) == 0 && word.size() > 5 && word.size() < 10 && word.find_first_not_of("0123456789", 5) == std::string::npos;
}

}    // namespace

const lmp_uq_cuda_calls &cuda_library()
{
  const std::string named = environment(VARIABLE), path = named.empty() ? own_folder() + FILE_NAME : named;
  void *const library = opened(path, !named.empty());
  const int version = function<int()>(library, "lmp_uq_cuda_version", path)();
  if (version != LMP_UQ_CUDA_VERSION)
    refuse(path + " has interface " + std::to_string(version) + ", this build " + std::to_string(LMP_UQ_CUDA_VERSION) +
           ": both have to be of one build; reinstall lmp-uq");
  return *function<const lmp_uq_cuda_calls *()>(library, "lmp_uq_cuda_interface", path)();
}

DeviceChoice choose_device(const std::string &word, int local_rank)
{
  if (word == "cpu") return {};
  if (word != "auto" && word != "cuda" && !is_numbered(word)) refuse("device is '" + word + "'; accepted: cpu, cuda, cuda:N or auto");
  try {
    return cuda_device(word == "auto" ? "cuda" : word, local_rank);
  } catch (const std::runtime_error &e) {
    if (word != "auto") refuse("device " + word + ": " + e.what());
    return {-1, 0, std::string("device auto: the CPU, because ") + e.what()};
  }
}

std::string double_precision_remark(int device)
{
  constexpr int slow = 16;    // times; 2 on chips for computing, 32 or 64 on others
  lmp_uq_cuda_device found;
  without_problem([&](char *problem, int size) { cuda_library().describe(device, &found, problem, size); });
  if (found.double_rate < slow) return "";
  return std::string(found.name) + " takes " + std::to_string(found.double_rate) + " times as long for float64 as for float32; precision float32 is advised";
}

std::vector<std::string> device_report()
{
  std::vector<std::string> lines;
  try {
    const lmp_uq_cuda_calls &cuda = cuda_library();
    const std::string driver = *cuda.driver ? std::string(", driver for CUDA up to ") + cuda.driver : "";
    lines.push_back(std::string("CUDA kernels: for ") + cuda.targets + "; CUDA " + cuda.runtime + driver);
    int n = 0;
    without_problem([&](char *problem, int size) { n = cuda.n_devices(problem, size); });
    for (int device = 0; device < n; ++device) {
      lmp_uq_cuda_device found;
      without_problem([&](char *problem, int size) { cuda.describe(device, &found, problem, size); });
      lines.push_back("cuda:" + std::to_string(device) + ": " + found.name + ", sm_" + std::to_string(found.chip) + ", " +
                      std::to_string(found.memory >> 20) + " MB");
    }
  } catch (const std::runtime_error &e) {
    lines.push_back(std::string("CUDA: ") + e.what());
  }
  return lines;
}

}    // namespace lmp_uq
