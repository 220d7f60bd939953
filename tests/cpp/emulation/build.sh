# SPDX-License-Identifier: GPL-2.0-or-later
# To be sourced: compile kernel files through the emulation.

# emulated ROOT BUILD OUTPUT SOURCE...: a program, or with OUTPUT *.so a shared object, of kernel files. BUILD: plain, asan or tsan. The
# emulation is the hardware's part: compiled without the sanitizers, told of them, and linked with them.
emulated() {
  emulated_root=$1 emulated_build=$2 emulated_output=$3
  shift 3
  emulated_common="-std=c++17 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Wno-unknown-pragmas -I$emulated_root/csrc"
  case $emulated_build in
    plain) emulated_flags= emulated_told= ;;
    asan) emulated_flags="-fsanitize=address,undefined -fno-sanitize-recover=all" emulated_told=-DLMP_UQ_ASAN ;;
    tsan) emulated_flags=-fsanitize=thread emulated_told=-DLMP_UQ_TSAN ;;
    swapcontext) emulated_flags= emulated_told=-DLMP_UQ_SWAPCONTEXT ;;
    *) echo "emulated: $emulated_build; accepted: plain, asan, tsan, swapcontext" >&2; return 2 ;;
  esac
  emulated_shared=
  case $emulated_output in *.so) emulated_shared="-shared -Wl,--version-script=$emulated_root/csrc/mace/cuda/library.map" ;; esac
  emulated_objects=
  for emulated_source in "$emulated_root"/csrc/mace/cuda/emulation/*.cpp "$@"; do
    emulated_object=$(basename "$emulated_source").$emulated_build.o
    emulated_objects="$emulated_objects $emulated_object"
    emulated_newer=$(find "$emulated_root/csrc" "$(dirname "$emulated_source")" -newer "$emulated_object" -name '*.[ch]*' 2>&1 | head -n 1)
    [ ! -e "$emulated_object" ] || [ -n "$emulated_newer" ] || continue
    case $emulated_source in
      */cuda/emulation/*) emulated_options="$emulated_common $emulated_told" ;;
      *) emulated_options="$emulated_common $emulated_flags" ;;
    esac
    # shellcheck disable=SC2086
    ${CXX:-g++} $emulated_options -x c++ -c "$emulated_source" -o "$emulated_object" || return 1
  done
  # shellcheck disable=SC2086
  ${CXX:-g++} $emulated_flags $emulated_shared $emulated_objects -o "$emulated_output"
}
