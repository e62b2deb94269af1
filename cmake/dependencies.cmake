# Every package that nexus uses. scripts/install-deps installs them on Debian 12 and Ubuntu 24.04; docs/install.md says how to
# get them without root. Each line says which module uses the package.
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(MPI REQUIRED COMPONENTS C)               # comm
find_package(fmt REQUIRED)                            # core
find_package(spdlog REQUIRED)                         # core
find_package(nlohmann_json REQUIRED)                  # run-folder files
find_package(yaml-cpp REQUIRED)                       # config
find_package(CLI11 REQUIRED)                          # cli
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)              # core
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)                  # workloads/text
pkg_check_modules(LZMA REQUIRED IMPORTED_TARGET liblzma)                  # workloads/text
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)             # workloads/text
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)          # workloads/text
find_package(HDF5 REQUIRED COMPONENTS C)              # checkpoint
find_path(RANDOM123_INCLUDE_DIR Random123/philox.h REQUIRED)              # core

# workloads/text. Not by pkg-config: Ubuntu 24.04's file asks for protobuf's headers, which its library does not need.
find_path(SENTENCEPIECE_INCLUDE_DIR sentencepiece_trainer.h REQUIRED)
find_library(SENTENCEPIECE_LIBRARY sentencepiece REQUIRED)
find_library(SENTENCEPIECE_TRAIN_LIBRARY sentencepiece_train REQUIRED)
add_library(sentencepiece INTERFACE IMPORTED)
set_target_properties(sentencepiece PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${SENTENCEPIECE_INCLUDE_DIR}
                      INTERFACE_LINK_LIBRARIES "${SENTENCEPIECE_TRAIN_LIBRARY};${SENTENCEPIECE_LIBRARY}")

# OpenBLAS gives f64 (checks) and the f32 fallback; oneDNN is the fast path of f32 and bf16. Either OpenMP build of
# OpenBLAS works; the pthread build fights OpenMP for the cores, so the OpenMP one is preferred where both are installed.
find_library(OPENBLAS_LIBRARY NAMES openblas PATH_SUFFIXES openblas-openmp REQUIRED)
find_path(OPENBLAS_INCLUDE_DIR cblas.h PATH_SUFFIXES openblas openblas-openmp x86_64-linux-gnu/openblas-openmp REQUIRED)

# Not find_package(dnnl): Debian's configuration file requires OpenCL headers, which the CPU engine does not need.
find_library(DNNL_LIBRARY dnnl)
find_path(DNNL_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
if(DNNL_LIBRARY AND DNNL_INCLUDE_DIR)
  set(dnnl_FOUND TRUE)
  add_library(DNNL::dnnl UNKNOWN IMPORTED)
  set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${DNNL_LIBRARY}
                        INTERFACE_INCLUDE_DIRECTORIES ${DNNL_INCLUDE_DIR})
endif()
