# What the CUDA backend is built with: sets PLENUM_HAS_CUDA and makes the target plenum_cuda_libraries
# where all of it is found and PLENUM_CUDA does not forbid it.
set(PLENUM_HAS_CUDA FALSE)
if(NOT PLENUM_CUDA)
  return()
endif()

set(missing_for_cuda "")
include(CheckLanguage)
check_language(CUDA)
if(CMAKE_CUDA_COMPILER)
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90) # and for the driver to compile, where a device is newer
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY Shared) # host code links it too: two would keep two last errors
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  enable_language(CUDA)
  find_package(CUDAToolkit 13 QUIET)
  if(NOT TARGET CUDA::cublasLt)
    list(APPEND missing_for_cuda "cuBLASLt")
  endif()
  find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
  find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR})
  if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
    list(APPEND missing_for_cuda "cuDNN")
  endif()
else()
  list(APPEND missing_for_cuda "nvcc")
endif()

if(NOT missing_for_cuda)
  set(PLENUM_HAS_CUDA TRUE)
  add_library(plenum_cuda_libraries INTERFACE)
  target_include_directories(plenum_cuda_libraries SYSTEM INTERFACE
    ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
  target_link_libraries(plenum_cuda_libraries INTERFACE CUDA::cudart CUDA::cublasLt
    ${CUDNN_LIBRARY})
  # CMake takes it that nvcc's folders are known to the loader, which not every installation tells it.
  get_filename_component(cudnn_folder ${CUDNN_LIBRARY} DIRECTORY)
  foreach(rpath CMAKE_BUILD_RPATH CMAKE_INSTALL_RPATH)
    list(APPEND ${rpath} ${CUDAToolkit_LIBRARY_DIR} ${cudnn_folder})
    list(REMOVE_DUPLICATES ${rpath})
  endforeach()
  message(STATUS "CUDA backend: built with CUDA ${CUDAToolkit_VERSION}")
elseif(PLENUM_CUDA STREQUAL AUTO)
  message(STATUS "CUDA backend: not built, there is no ${missing_for_cuda}")
else()
  message(FATAL_ERROR "PLENUM_CUDA is on, but there is no ${missing_for_cuda}")
endif()

# Warnings of a target's device code.
function(plenum_cuda_warnings target)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-Wshadow>"
    "$<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<BOOL:${PLENUM_WERROR}>>:-Werror=all-warnings>")
endfunction()
