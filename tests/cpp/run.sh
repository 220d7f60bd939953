#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Identities of the native engine in plain C++, every family of models: tests/cpp/run.sh sanitize|valgrind|aarch64|emulate-sanitize, from anywhere, with PYTHON
# set to the interpreter that has lmp_uq and the tests' packages.
#   emulate-sanitize   what is written for a device, through its emulation, under AddressSanitizer and ThreadSanitizer: first the emulation itself
#              on faults that are planted, then the engine, also as LAMMPS uses it: neighbour lists, recordings, forces and virials
#   sanitize   csrc but for lammps/ and the loops under AddressSanitizer and UndefinedBehaviorSanitizer
#   aarch64    both, compiled for that processor and run by qemu-aarch64
#   valgrind   csrc but for lammps/, with the unrolled loops, which are too much for the sanitizers, under memcheck
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/objects.sh"
python=${PYTHON:-$root/.venv/bin/python}
mode=${1:?sanitize, valgrind, aarch64 or emulate-sanitize}
mkdir -p "$root/build/cpp/$mode" "$root/build/cpp/models"
[ "$mode" != emulate-sanitize ] || for build in asan tsan; do sh "$root/tests/cpp/emulation/faults.sh" $build; done
"$python" "$root/tests/cpp/models.py" "$root/build/cpp/models"
if [ "$mode" = emulate-sanitize ]; then
  export ASAN_OPTIONS=detect_leaks=0    # of an interpreter
  for build in asan tsan; do
    library=$(sh "$root/tests/cpp/emulation/library.sh" $build)
    lists=$(sh "$root/tests/cpp/emulation/library.sh" $build check_lists)
    preload=$(${CXX:-g++} -print-file-name=lib$build.so)
    "$lists" planted "$root/build/cpp/models/family-0.uq" > /dev/null || { echo "$build: a planted error was not seen" >&2; exit 1; }
    for way in tables common; do
      (cd /; export LD_PRELOAD="$preload" LMP_UQ_CUDA_LIBRARY="$library" LMP_UQ_FIRST_LAYER=$way
       "$python" "$root/tests/cpp/emulation/engine.py" "$root"/build/cpp/models/*.uq "$root/lmp_uq/models/nbmotaw.uq")
      LMP_UQ_FIRST_LAYER=$way "$lists" "$root"/build/cpp/models/*.uq
    done
  done
  exit
fi
cd "$root/build/cpp/$mode"
common="-std=c++17 -O1 -g -fno-omit-frame-pointer -fopenmp"
case $mode in
  sanitize) flags="$common -fsanitize=address,undefined -fno-sanitize-recover=all"; runner= ;;
  valgrind) flags=$common; runner="valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --suppressions=$root/tests/cpp/openmp.supp" ;;
  aarch64) flags="$common -static"; runner=qemu-aarch64; CXX=${CXX:-aarch64-linux-gnu-g++} ;;
  *) echo "tests/cpp/run.sh: $mode; accepted: sanitize, valgrind, aarch64, emulate-sanitize" >&2; exit 2 ;;
esac
link_engine "$root" "$root/tests/cpp/check_engine.cpp" check_engine "$flags" "$common"
# shellcheck disable=SC2086
$runner ./check_engine ../models/*.uq
quick=; [ "$mode" != aarch64 ] || quick=$runner
# shellcheck disable=SC2086
$quick ./check_engine planted ../models/*.uq > planted.txt || { echo "a planted error was not seen:" >&2; cat planted.txt >&2; exit 1; }
