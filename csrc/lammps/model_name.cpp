// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_name.h"

#include "base/text.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

namespace {

constexpr char SUFFIX[] = ".uq", POTENTIALS[] = "LAMMPS_POTENTIALS";

// of the library that this function is in
std::string models_folder()
{
  Dl_info info = {};
  if (!dladdr(reinterpret_cast<void *>(&models_folder), &info) || !info.dli_fname) return "models";
  const std::string path = info.dli_fname;
  const std::size_t slash = path.rfind('/');
  return (slash == std::string::npos ? "" : path.substr(0, slash + 1)) + "models";
}

bool ends_in_suffix(const std::string &name)
{
  const std::string suffix = SUFFIX;
  return name.size() > suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

std::vector<std::string> embedded_models(const std::string &folder)
{
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR *)> listing(opendir(folder.c_str()), closedir);
  while (const dirent *entry = listing ? readdir(listing.get()) : nullptr) {
    const std::string file = entry->d_name;
    if (ends_in_suffix(file)) names.push_back(file.substr(0, file.rfind('.')));
  }
  std::sort(names.begin(), names.end());
  return names;
}

// of the variable of the environment that LAMMPS has for folders with potentials
std::vector<std::string> potential_folders()
{
  const char *value = std::getenv(POTENTIALS);
  std::istringstream all(value ? value : "");
  std::vector<std::string> folders;
  for (std::string folder; std::getline(all, folder, ':');)
    if (!folder.empty()) folders.push_back(folder);
  return folders;
}

bool is_file(const std::string &path)
{
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

}    // namespace

std::string lmp_uq::resolve_model(const std::string &name)
{
  if (is_file(name)) return name;
  const std::string folder = models_folder();
  const std::vector<std::string> names = embedded_models(folder);
  if (std::find(names.begin(), names.end(), name) != names.end()) return folder + "/" + name + SUFFIX;
  struct stat status = {};
  if (stat(name.c_str(), &status) == 0) return name;
  const std::vector<std::string> folders = potential_folders();
  for (const std::string &where : folders) {
    const std::string found = where + "/" + name.substr(name.rfind('/') + 1);
    if (ends_in_suffix(found) && is_file(found)) return found;
  }
  const char *hint = is_utf8(name) ? "" : "; LAMMPS cuts letters that are not ASCII out of its input: give the name as -var file NAME and write ${file}";
  throw std::runtime_error(name + ": neither a file nor an embedded model; embedded models: " + (names.empty() ? "none" : joined(names, ", ")) +
                           (folders.empty() ? "" : std::string("; folders of ") + POTENTIALS + ": " + joined(folders, ", ")) + hint);
}
