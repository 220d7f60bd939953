#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# library.sh plain|asan|tsan: liblmp_uq_cuda.so through the emulation, build/cpp/emulation/liblmp_uq_cuda-BUILD.so; its path is printed.
# LMP_UQ_CUDA_LIBRARY names it to the plugin.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
. "$root/tests/cpp/emulation/build.sh"
build=${1:?plain, asan or tsan}
mkdir -p "$root/build/cpp/emulation"
cd "$root/build/cpp/emulation"
model=$(find "$root/csrc/mace" -maxdepth 1 -name '*.cpp' -not -name 'device_*')
# shellcheck disable=SC2086
emulated "$root" "$build" "liblmp_uq_cuda-$build.so" "$root"/csrc/mace/cuda/*.cu $model "$root"/csrc/base/json*.cpp \
  "$root/csrc/base/text.cpp" "$root/csrc/base/environment.cpp" "$root/csrc/file/tensor.cpp"
echo "$PWD/liblmp_uq_cuda-$build.so"
