// SPDX-License-Identifier: GPL-2.0-or-later
// No Python header and no link to libpython: one plugin serves every interpreter, and loads where there is none.
#include "python_host.h"

#include "evaluator.h"

#include <cstdlib>
#include <dlfcn.h>
#include <stdexcept>
#include <string>

namespace {

bool embedded = false;

template <typename Function> Function symbol(const char *name)
{
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

std::string environment(const char *name)
{
  const char *value = getenv(name);
  return value ? value : "";
}

// LAMMPS' own executable owns the process: start the interpreter that the entry point of lmp_uq named
void start_interpreter()
{
  const std::string library = environment("LMP_UQ_LIBPYTHON"), bridge = environment("LMP_UQ_BRIDGE"),
                    executable = environment("LMP_UQ_PYTHON");
  if (library.empty() || bridge.empty() || executable.empty())
    throw std::runtime_error("there is no Python interpreter in this process and no shared libpython was found "
                             "(LMP_UQ_LIBPYTHON, LMP_UQ_BRIDGE and LMP_UQ_PYTHON must name one); "
                             "run the same input with lmp-uq instead, which always works: lmp-uq run -in in.file");
  // RTLD_GLOBAL: extension modules such as numpy expect the interpreter's symbols in the global scope
  if (!dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL)) throw std::runtime_error(std::string("LMP_UQ_LIBPYTHON: ") + dlerror());
  void *module = dlopen(bridge.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (!module) throw std::runtime_error(std::string("LMP_UQ_BRIDGE: ") + dlerror());
  auto start = reinterpret_cast<int (*)(const char *, char *, int)>(dlsym(module, "uq_start_interpreter"));
  if (!start) throw std::runtime_error("LMP_UQ_BRIDGE=" + bridge + " is not a bridge of lmp_uq");
  char message[512] = "";
  if (start(executable.c_str(), message, sizeof(message))) throw std::runtime_error(std::string("Python did not start: ") + message);
  embedded = true;
}

void register_bridge(uq_bridge &table)
{
  auto ensure = symbol<int (*)()>("PyGILState_Ensure");
  auto release = symbol<void (*)(int)>("PyGILState_Release");
  auto run = symbol<int (*)(const char *, void *)>("PyRun_SimpleStringFlags");
  if (!ensure || !release || !run) throw std::runtime_error("the process exports no Python C API");
  const std::string code =
      "import lmp_uq._bridge; lmp_uq._bridge.register(" + std::to_string(reinterpret_cast<uintptr_t>(&table)) + ")";
  const int state = ensure();
  const int failed = run(code.c_str(), nullptr);
  release(state);
  if (failed) throw std::runtime_error("import of lmp_uq._bridge failed (traceback above); reinstall lmp-uq");
  if (table.version != UQ_BRIDGE_VERSION)
    throw std::runtime_error("lmp_uq._bridge is of version " + std::to_string(table.version) + ", the plugin needs " +
                             std::to_string(UQ_BRIDGE_VERSION) + "; reinstall lmp-uq");
}

}    // namespace

const uq_bridge &lmp_uq::python_bridge()
{
  static uq_bridge table = {};
  if (table.version) return table;
  auto initialized = symbol<int (*)()>("Py_IsInitialized");
  if (!initialized || !initialized()) start_interpreter();
  register_bridge(table);
  return table;
}
