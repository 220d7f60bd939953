#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The LAMMPS tests with the plugin under AddressSanitizer and UndefinedBehaviorSanitizer: tests/cpp/lammps-sanitize.sh [pytest arguments], from
# anywhere, after make install, with PYTHON set to the interpreter that has lmp_uq and the tests' packages. Fails if a test does, or if a
# sanitizer of any process has said a word (build/lammps-sanitize/reports).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
bin=$(dirname "$python")
here=$root/build/lammps-sanitize
mkdir -p "$here"
cd "$here"    # where Python finds no lmp_uq but the installed one
cmake -S "$root" -B "$here/cmake" -DPython_EXECUTABLE="$python" -DLMP_UQ_SANITIZERS=address,undefined > "$here/cmake.log"
nice cmake --build "$here/cmake" --target uqplugin --parallel "$(nproc)"

# An environment of its own: packages and programs of the first one, but this plugin. Tests start programs from beside their interpreter.
rm -rf "$here/environment" "$here/reports"
mkdir "$here/reports"
"$python" -m venv --without-pip "$here/environment"
site() { "$1" -c "import sysconfig; print(sysconfig.get_path('purelib'))"; }
own=$(site "$here/environment/bin/python")
installed=$("$python" -c "import os, lmp_uq; print(os.path.dirname(lmp_uq.__file__))")
site "$python" > "$own/first.pth"
mkdir "$own/lmp_uq"
ln -s "$installed"/* "$own/lmp_uq"
ln -sf "$here/cmake/uqplugin.so" "$own/lmp_uq/uqplugin.so"
for program in "$bin"/*; do
  copy=$here/environment/bin/$(basename "$program")
  [ ! -e "$copy" ] || continue
  case $(head -c 2 "$program" | tr -d '\0') in
    '#!') sed "1,3s|$bin/python[0-9.]*|$here/environment/bin/python|" "$program" > "$copy" && chmod +x "$copy" ;;
    *) ln -s "$program" "$copy" ;;
  esac
done

# Python and MPI leave memory behind at exit: no leaks are looked for. The runtime looks for __cxa_throw when it starts, and Python has none.
runtime() { "${CXX:-g++}" -print-file-name="$1"; }
export ASAN_OPTIONS="detect_leaks=0:log_path=$here/reports/asan:quarantine_size_mb=64:exitcode=99"
export UBSAN_OPTIONS="print_stacktrace=1"
export OMP_NUM_THREADS=1
export LD_LIBRARY_PATH="$bin/../lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"    # mpi4py's own path to libmpi is lost where dlopen is watched
cd "$root"
[ $# -gt 0 ] || set -- tests/lammps tests/cli/test_bad_input.py tests/fitting/test_linear_example.py tests/house/test_examples.py
left_out="--deselect tests/lammps/test_lammps_exceptions.py"    # it preloads an allocator of its own
failed=0
# shellcheck disable=SC2086
LD_PRELOAD="$(runtime libasan.so) $(runtime libstdc++.so)" nice "$here/environment/bin/pytest" -q -p no:cacheprovider "$@" $left_out || failed=1
for report in "$here"/reports/*; do
  [ -e "$report" ] || continue
  failed=1
  head -n 40 "$report" >&2
done
exit $failed
