#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# faults.sh plain|asan|tsan|swapcontext: in that build the correct program passes, and each planted fault that the build has to see is seen,
# both in five orders of threads and blocks.
set -eu
root=$(cd "$(dirname "$0")/../../.." && pwd)
. "$root/tests/cpp/emulation/build.sh"
build=${1:?plain, asan, tsan or swapcontext}
mkdir -p "$root/build/cpp/emulation"
cd "$root/build/cpp/emulation"
emulated "$root" "$build" "check-$build" "$root"/tests/cpp/emulation/*.cu
export LMP_UQ_EMULATION_DEVICES=2
out=$build.txt failed=0 seen=0
for LMP_UQ_EMULATION_SEED in 1 2 3 4 5; do
  export LMP_UQ_EMULATION_SEED
  "./check-$build" > "$out" 2>&1 || { echo "seed $LMP_UQ_EMULATION_SEED, $build: the correct program:" >&2; cat "$out" >&2; failed=1; }
  "./check-$build" --list > "$build-list.txt"
  while read -r name sees message; do
    [ "$sees" = "$build" ] || continue
    code=0
    "./check-$build" "$name" > "$out" 2>&1 || code=$?
    if [ $code != 0 ] && grep -q "$message" "$out"; then seen=$((seen + 1)); continue; fi
    echo "seed $LMP_UQ_EMULATION_SEED, $build, $name: code $code, no '$message'" >&2
    failed=1
  done < "$build-list.txt"
done
[ $failed = 0 ] && echo "$build: $((seen / 5)) planted faults seen with five seeds"
