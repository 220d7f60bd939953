// SPDX-License-Identifier: GPL-2.0-or-later
// No Python header and no link to libpython: one plugin serves every interpreter, and loads where there is none.
#include "python_host.h"

#include "evaluator.h"
#include "base/environment.h"

#include <dlfcn.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

namespace {

constexpr char LIBRARY[] = "LMP_UQ_LIBPYTHON", BRIDGE[] = "LMP_UQ_BRIDGE", EXECUTABLE[] = "LMP_UQ_PYTHON";
bool embedded = false;

template <typename Function> Function symbol(const char *name)
{
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

// the function that makes a library what the variable accepts
void *opened(const char *variable, const char *function, const std::string &accepted)
{
  void *library = dlopen(lmp_uq::environment(variable).c_str(), RTLD_NOW | RTLD_GLOBAL);
  void *found = library ? dlsym(library, function) : nullptr;
  const char *why = found ? nullptr : dlerror();
  if (!found) lmp_uq::refuse_environment(variable, accepted + (why ? " (" + std::string(why) + ")" : ""));
  return found;
}

// LAMMPS' own executable owns the process: start the interpreter that the entry point of lmp_uq named
void start_interpreter()
{
  using lmp_uq::environment;
  const std::string library = environment(LIBRARY), bridge = environment(BRIDGE), executable = environment(EXECUTABLE);
  if (library.empty() || bridge.empty() || executable.empty())
    throw std::runtime_error("there is no Python interpreter in this process and no shared libpython was found "
                             "(LMP_UQ_LIBPYTHON, LMP_UQ_BRIDGE and LMP_UQ_PYTHON must name one); "
                             "run the same input with lmp-uq instead, which always works: lmp-uq run -in in.file");
  // RTLD_GLOBAL: extension modules such as numpy expect the interpreter's symbols in the global scope
  opened(LIBRARY, "Py_InitializeFromConfig", "the shared library of a Python");
  void *begin = opened(BRIDGE, "uq_start_interpreter", "the compiled module lmp_uq._bridge");
  if (access(executable.c_str(), X_OK) != 0) lmp_uq::refuse_environment(EXECUTABLE, "the executable of a Python");
  auto start = reinterpret_cast<int (*)(const char *, char *, int)>(begin);
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
