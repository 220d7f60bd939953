#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# A quarter of an hour on a machine with a GPU: is the engine right there, how fast is each piece. Each line gives one verdict and goes on.
#   benchmarks/gpu.sh --build            programs by nvcc, and a model, into build/gpu; done anyway where they are missing
#   benchmarks/gpu.sh FOLDER             everything; log and tables into FOLDER
#   benchmarks/gpu.sh --dry-run FOLDER   the same command lines on the emulated device, with tiny sizes
# The package is that of PYTHON (default .venv/bin/python), installed with nvcc. CHIP (default sm_90) is what --build compiles for. The dry
# run takes the library that LMP_UQ_CUDA_LIBRARY names, or compiles one.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
programs=$root/build/gpu
kernels="first_layer first_common message_forward message_reverse gemm products edge_geometry head_bars listed_edges"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-8}"

sources() { for name in $kernels; do echo "$root/csrc/mace/cuda/$name.cu"; done; echo "$root/csrc/mace/coupling.cpp"; }

build() {
  mkdir -p "$programs"
  "$python" "$root/benchmarks/gpu_steps.py" model
  command -v nvcc > /dev/null || { echo "no nvcc: programs are not built"; return 1; }
  options="-std=c++17 -O3 -lineinfo -arch=${CHIP:-sm_90} -I$root/csrc"
  # shellcheck disable=SC2046,SC2086
  nvcc $options "$root/benchmarks/gpu_kernels.cu" $(sources) -o "$programs/gpu_kernels" &&
    nvcc $options "$root"/tests/cpp/emulation/*.cu -o "$programs/check_device" &&
    nvcc $options "$root/tests/cpp/check_gemm.cu" "$root/csrc/mace/cuda/gemm.cu" -o "$programs/check_gemm"
}

build_emulated() {
  . "$root/tests/cpp/emulation/build.sh"
  mkdir -p "$programs"
  cd "$programs" || return 1
  # shellcheck disable=SC2046
  emulated "$root" plain gpu_kernels-emulated "$root/benchmarks/gpu_kernels.cu" $(sources) &&
    emulated "$root" plain check_device-emulated "$root"/tests/cpp/emulation/*.cu &&
    emulated "$root" plain check_gemm-emulated "$root/tests/cpp/check_gemm.cu" "$root/csrc/mace/cuda/gemm.cu"
}

# t NAME LIMIT COMMAND [PROGRAM]: one verdict, what was printed in the log and in FOLDER/NAME; skipped where the program is missing
t() {
  echo "== $1: $3"
  if [ -n "${4:-}" ] && ! command -v "$4" > /dev/null; then echo "skipped: no $4"; return; fi
  begun=$(date +%s)
  timeout "$2" sh -c "$3" > "$out/$1" 2>&1 && verdict=ok || verdict="FAILED, code $?"
  tail -n 60 "$out/$1"
  echo "$verdict, $(($(date +%s) - begun)) s"
}

dry=; end=
few="--atoms 6 --neighbours 5 --channels 40 --intervals 3 --repeats 1"
case ${1:-} in
  --build) build; exit ;;
  --dry-run) dry=1; shift ;;
esac
out=${1:?--build, or [--dry-run] and a folder for the results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
exec > "$out/log" 2>&1
if [ -n "$dry" ]; then
  end=-emulated
  build_emulated || exit 1
  [ -n "${LMP_UQ_CUDA_LIBRARY:-}" ] || LMP_UQ_CUDA_LIBRARY=$(sh "$root/tests/cpp/emulation/library.sh" plain) || exit 1
  export LMP_UQ_CUDA_LIBRARY LMP_UQ_EMULATION_DEVICES=2
  sizes=$few tiny=--small repeats="--repeats 1 --steps 1" check="--families 2 --atoms 4" small=16 middle=16 large=16 half=6
  medium="--models nbmotaw" tests=--collect-only
else
  [ -x "$programs/gpu_kernels" ] && [ -e "$programs/medium.uq" ] || build
  sizes="--atoms 64 --atoms 1000 --atoms 30000" tiny= repeats="--repeats 5 --steps 20" check="--atoms 54" small="64 2000"
  middle="64 2000 100000" large=1000000 half=200000 medium="--models $programs/medium.uq" tests=
fi
library=${LMP_UQ_CUDA_LIBRARY:-$(cd / && "$python" -c 'import lmp_uq, pathlib; print(pathlib.Path(lmp_uq.__file__).parent / "liblmp_uq_cuda.so")')}
kernels_at="$programs/gpu_kernels$end" device_at="$programs/check_device$end"
run="$python $root/benchmarks/gpu_steps.py"
echo "results: $out; library: $library; $(date)"
cd "$root" || exit 1

# order: the value of the answer
t device 10 "nvidia-smi -L; nvidia-smi --query-gpu=driver_version,clocks.max.sm,memory.total --format=csv" nvidia-smi
t library 20 "cd / && $python -c 'from lmp_uq._native import device_report; print(*device_report(), sep=chr(10))'"
t language 30 "$device_at"
t matrices 20 "$programs/check_gemm$end"
t check 120 "$run check $check"
# the tests' device is the real one here; those that want another number of devices, another chip or less memory fail, and only those may
t tests 90 "LMP_UQ_EMULATED_LIBRARY=$library $(dirname "$python")/pytest -q $tests tests/backbone tests/lammps -k device"
for tool in memcheck racecheck synccheck initcheck; do
  t $tool 30 "compute-sanitizer --tool $tool --error-exitcode 9 $kernels_at kernels $few" compute-sanitizer
done
t rates 20 "$kernels_at rates $tiny"
t kernels 60 "$kernels_at kernels $sizes"
t steps-nbmotaw 60 "$run steps --models nbmotaw --precisions float32 float64 --atoms $middle $repeats"
t steps-medium 90 "$run steps $medium --atoms $small $repeats"
t lammps-nbmotaw 60 "$run lammps --models nbmotaw --atoms $middle $repeats"
t lammps-medium 60 "$run lammps $medium --atoms $small $repeats"
t lammps-4-ranks 30 "$run lammps --models nbmotaw --atoms $small --ranks 4 $repeats" "$(dirname "$python")/mpiexec"
t lammps-large 90 "$run lammps --models nbmotaw --atoms $large $repeats"
t peers 90 "$run peers --atoms $small $repeats"
t ncu 40 "ncu --set basic --kernel-name regex:message --launch-count 8 $kernels_at kernels --atoms $half --repeats 1" ncu
echo "end: $(date); $(grep -c '^FAILED' "$out/log") lines failed"
