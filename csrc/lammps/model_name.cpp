// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_name.h"

#include "text.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

constexpr char SUFFIX[] = ".uq";

// of the library that this function is in
std::string models_folder()
{
  Dl_info info = {};
  if (!dladdr(reinterpret_cast<void *>(&models_folder), &info) || !info.dli_fname) return "models";
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + "models";
}

std::vector<std::string> embedded_models(const std::string &folder)
{
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR *)> listing(opendir(folder.c_str()), closedir);
  while (const dirent *entry = listing ? readdir(listing.get()) : nullptr) {
    const std::string file = entry->d_name, suffix = SUFFIX;
    if (file.size() > suffix.size() && file.compare(file.size() - suffix.size(), suffix.size(), suffix) == 0)
      names.push_back(file.substr(0, file.size() - suffix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}    // namespace

std::string lmp_uq::resolve_model(const std::string &name)
{
  struct stat status = {};
  const bool exists = stat(name.c_str(), &status) == 0;
  if (exists && S_ISREG(status.st_mode)) return name;
  const std::string folder = models_folder();
  const std::vector<std::string> names = embedded_models(folder);
  if (std::find(names.begin(), names.end(), name) != names.end()) return folder + "/" + name + SUFFIX;
  if (!exists) {
    const char *hint = is_utf8(name) ? "" : "; LAMMPS cuts letters that are not ASCII out of its input: give the name as -var file NAME and write ${file}";
    throw std::runtime_error(name + ": neither a file nor an embedded model; embedded models: " +
                             (names.empty() ? "none" : joined(names, ", ")) + hint);
  }
  return name;
}
