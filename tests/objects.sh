# SPDX-License-Identifier: GPL-2.0-or-later
# To be sourced: compile csrc without csrc/lammps and kernels of a device, and a program, in this folder, and link them.

# link_engine ROOT PROGRAM.cpp OUTPUT FLAGS FLAGS_OF_LOOPS: objects are made again where a source is newer. The unrolled loops have flags of
# their own: they see no byte of a file, and sanitizers need hours and gigabytes to compile them.
link_engine() {
  objects=
  for source in $(find "$1/csrc" -name '*.cpp' -not -path '*/lammps/*' -not -path '*/cuda/*') "$2"; do
    object=$(basename "$source").o
    objects="$objects $object"
    if [ -e "$object" ] && [ -z "$(find "$1/csrc" "$(dirname "$2")" -newer "$object" -name '*.[ch]*' | head -n 1)" ]; then continue; fi
    case $source in
      */kernels_isa.cpp) options="$5 -DLMP_UQ_ISA=generic -DLMP_UQ_VECTOR_BYTES=16" ;;
      *) options=$4 ;;
    esac
    # shellcheck disable=SC2086
    ${CXX:-g++} $options -I"$1/csrc" -c "$source" -o "$object"
  done
  # shellcheck disable=SC2086
  ${CXX:-g++} $4 $objects -o "$3" -ldl
}
