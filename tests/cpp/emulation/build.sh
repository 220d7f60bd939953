# SPDX-License-Identifier: GPL-2.0-or-later
# To be sourced: compile kernel files through the emulation, in this folder.

# emulated ROOT BUILD OUTPUT SOURCE...: a program, or with OUTPUT *.so a shared object, of kernel files. BUILD: plain, asan, tsan, or
# swapcontext for other processors than x86-64. The emulation is the hardware's part: compiled without the sanitizers, told of them, and
# linked with them. One process at a time: tests of several may share the objects.
emulated() (
  root=$1 build=$2 output=$3 told='' flags='' shared='' objects=''
  shift 3
  common="-std=c++17 -O2 -g -fPIC -fvisibility=hidden -Wall -Wextra -Wno-unknown-pragmas -I$root/csrc"
  case $build in
    plain) ;;
    asan) flags="-fsanitize=address,undefined -fno-sanitize-recover=all" told=-DLMP_UQ_ASAN ;;
    tsan) flags=-fsanitize=thread told=-DLMP_UQ_TSAN ;;
    swapcontext) told=-DLMP_UQ_SWAPCONTEXT ;;
    *) echo "emulated: $build; accepted: plain, asan, tsan, swapcontext" >&2; exit 2 ;;
  esac
  case $output in *.so) shared="-shared -Wl,--version-script=$root/csrc/mace/cuda/library.map" ;; esac
  exec 9> lock
  flock 9
  for source in "$root"/csrc/mace/cuda/emulation/*.cpp "$@"; do
    object=$(basename "$source").$build.o
    objects="$objects $object"
    newer=$(find "$root/csrc" "$(dirname "$source")" -newer "$object" -name '*.[ch]*' 2>&1 | head -n 1)
    [ ! -e "$object" ] || [ -n "$newer" ] || continue
    case $source in */cuda/emulation/*) options="$common $told" ;; *) options="$common $flags" ;; esac
    # shellcheck disable=SC2086
    ${CXX:-g++} $options -x c++ -c "$source" -o "$object" || exit 1
  done
  # shellcheck disable=SC2086
  ${CXX:-g++} $flags $shared $objects -o "$output.part" || exit 1
  mv "$output.part" "$output"    # whole at any time: a test of another process may be about to load it
)
