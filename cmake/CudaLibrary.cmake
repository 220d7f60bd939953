# SPDX-License-Identifier: GPL-2.0-or-later
# liblmp_uq_cuda.so: what runs on NVIDIA devices, loaded by the plugin where a device is asked for. It needs the driver and no library of
# CUDA. The compiler is CUDACXX, nvcc on PATH, or that of the wheels nvidia-cuda-* in the Python that builds.

set(LMP_UQ_CUDA AUTO CACHE STRING "kernels for NVIDIA devices: ON, OFF, or AUTO: where there is a compiler")
set_property(CACHE LMP_UQ_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT LMP_UQ_CUDA MATCHES "^(AUTO|ON|OFF)$")
  message(FATAL_ERROR "LMP_UQ_CUDA is '${LMP_UQ_CUDA}'; accepted: AUTO, ON, OFF")
endif()
if(LMP_UQ_CUDA STREQUAL OFF)
  message(STATUS "CUDA kernels: not built (LMP_UQ_CUDA is OFF)")
  return()
endif()

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  execute_process(COMMAND ${Python_EXECUTABLE} -c "import nvidia; print(*nvidia.__path__, sep=';')"
    OUTPUT_VARIABLE wheels OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  list(TRANSFORM wheels APPEND /cu13/bin)
  find_program(LMP_UQ_NVCC nvcc)
  find_program(LMP_UQ_NVCC nvcc PATHS ${wheels} NO_DEFAULT_PATH)    # only if it was not found on PATH
  if(LMP_UQ_NVCC)
    set(ENV{CUDACXX} ${LMP_UQ_NVCC})
    if(LMP_UQ_NVCC MATCHES "/cu13/bin/nvcc$")    # which looks for libraries in lib64; the wheels have lib
      string(REPLACE /bin/nvcc /lib library_folder ${LMP_UQ_NVCC})
      set(ENV{CUDAFLAGS} "$ENV{CUDAFLAGS} -L${library_folder}")
    endif()
  endif()
endif()
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE)    # asked for again, should a compiler have come
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  set(why "no working nvcc: CUDACXX, PATH, wheels of ${Python_EXECUTABLE}")
  if(LMP_UQ_CUDA STREQUAL ON)
    message(FATAL_ERROR "LMP_UQ_CUDA is ON, but there is ${why}; see docs/build.md")
  endif()
  message(STATUS "CUDA kernels: not built (${why})")
  return()
endif()

# Machine code for these chips runs with any driver of the toolkit's major version; what is virtual is compiled by the driver, for newer
# chips.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)
endif()
enable_language(CUDA)
set(targets "")
foreach(chip ${CMAKE_CUDA_ARCHITECTURES})
  string(REGEX REPLACE "-virtual$" "" code ${chip})
  string(REGEX REPLACE "-real$" "" machine_code ${chip})
  if(NOT chip MATCHES "-virtual$")
    list(APPEND targets sm_${machine_code})
  endif()
  if(NOT chip MATCHES "-real$")
    list(APPEND targets "PTX ${code}")
  endif()
endforeach()
string(REPLACE ";" ", " targets "${targets}")

# kernels, their engine, and what a model is; tests/cpp/emulation/library.sh compiles the same
file(GLOB cuda_sources CONFIGURE_DEPENDS csrc/mace/cuda/*.cu csrc/mace/*.cpp csrc/base/json*.cpp)
list(FILTER cuda_sources EXCLUDE REGEX "/device_[a-z]*\\.cpp$")
list(APPEND cuda_sources csrc/base/environment.cpp csrc/base/text.cpp csrc/file/tensor.cpp)
add_library(lmp_uq_cuda SHARED ${cuda_sources})
set_target_properties(lmp_uq_cuda PROPERTIES CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_RUNTIME_LIBRARY Static
  CUDA_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_compile_definitions(lmp_uq_cuda PRIVATE "LMP_UQ_CUDA_TARGETS=\"${targets}\"")
target_include_directories(lmp_uq_cuda PRIVATE csrc)
target_compile_options(lmp_uq_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-O3 -lineinfo>)
set(exports ${CMAKE_CURRENT_SOURCE_DIR}/csrc/mace/cuda/library.map)
target_link_options(lmp_uq_cuda PRIVATE -Wl,--exclude-libs,ALL -Wl,--version-script=${exports})
set_target_properties(lmp_uq_cuda PROPERTIES LINK_DEPENDS ${exports})
install(TARGETS lmp_uq_cuda LIBRARY DESTINATION lmp_uq)
message(STATUS "CUDA kernels: for ${targets}, by ${CMAKE_CUDA_COMPILER} ${CMAKE_CUDA_COMPILER_VERSION}")
