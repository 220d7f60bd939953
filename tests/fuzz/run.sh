#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz the reader of model files and the posterior head: tests/fuzz/run.sh [SECONDS [SEED]], from anywhere, with PYTHON set to the interpreter
# that has lmp_uq. Ends with 0 if nothing broke; an input that breaks something is build/fuzz/broken.uq.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
mkdir -p "$root/build/fuzz"
cd "$root/build/fuzz"
"$python" "$root/tests/fuzz/seeds.py" .
flags="-std=c++17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
objects=
for source in "$root"/csrc/engine/*.cpp "$root"/csrc/kernels/*.cpp "$root"/tests/fuzz/fuzz_model_file.cpp; do
  object=$(basename "$source").o
  objects="$objects $object"
  if [ ! -e "$object" ] || [ -n "$(find "$root/csrc" "$root/tests/fuzz" -newer "$object" -name '*.[ch]*' | head -n 1)" ]; then
    case $source in
      # the unrolled loops see no byte of a file, and sanitizers need hours and gigabytes to compile them
      */kernels_isa.cpp) options="-std=c++17 -O1 -DLMP_UQ_ISA=generic -DLMP_UQ_VECTOR_BYTES=16" ;;
      *) options=$flags ;;
    esac
    # shellcheck disable=SC2086
    ${CXX:-g++} $options -I"$root/csrc/engine" -c "$source" -o "$object"
  fi
done
# shellcheck disable=SC2086
${CXX:-g++} $flags $objects -o fuzz_model_file
./fuzz_model_file "${2:-1}" "${1:-150}" ./*.uq
