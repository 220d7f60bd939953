#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# library.sh plain|asan|tsan [PROGRAM]: liblmp_uq_cuda.so through the emulation, build/cpp/emulation/liblmp_uq_cuda-BUILD.so, or with all of it
# and a reader of model files tests/cpp/PROGRAM.cu, build/cpp/emulation/PROGRAM-BUILD; its path is printed.
# LMP_UQ_CUDA_LIBRARY names the library to the plugin.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
. "$root/tests/cpp/emulation/build.sh"
build=${1:?plain, asan or tsan} program=${2:-}
mkdir -p "$root/build/cpp/emulation"
cd "$root/build/cpp/emulation"
model=$(find "$root/csrc/mace" -maxdepth 1 -name '*.cpp' -not -name 'device_*')
if [ -n "$program" ]; then
  output=$program-$build
  set -- "$root/tests/cpp/$program.cu" "$root"/csrc/base/*.cpp "$root"/csrc/file/*.cpp "$root/csrc/linear/snap_descriptors.cpp"
else
  output=liblmp_uq_cuda-$build.so
  set -- "$root"/csrc/base/json*.cpp "$root/csrc/base/environment.cpp" "$root/csrc/base/text.cpp" "$root/csrc/file/tensor.cpp"
fi
# shellcheck disable=SC2086
emulated "$root" "$build" "$output" "$@" "$root"/csrc/mace/cuda/*.cu $model
echo "$PWD/$output"
