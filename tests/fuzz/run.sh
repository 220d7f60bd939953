#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Fuzz the reader of model files and the posterior head: tests/fuzz/run.sh [SECONDS [SEED]], from anywhere, with PYTHON set to the interpreter
# that has lmp_uq. Ends with 0 if nothing broke; an input that breaks something is build/fuzz/broken.uq.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/tests/objects.sh"
python=${PYTHON:-$root/.venv/bin/python}
mkdir -p "$root/build/fuzz"
cd "$root/build/fuzz"
"$python" "$root/tests/fuzz/seeds.py" .
flags="-std=c++17 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
link_engine "$root" "$root/tests/fuzz/fuzz_model_file.cpp" fuzz_model_file "$flags" "-std=c++17 -O1"
./fuzz_model_file "${2:-1}" "${1:-150}" ./*.uq
