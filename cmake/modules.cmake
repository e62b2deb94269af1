# Modules that only organise, and tests: nobody waits for their code, so they compile at -O1 in two thirds of the time of -O3 (with
# sanitizers at -O0 in half of that of -O1; -g1 holds the lines of a report). Nothing that computes weights belongs here: other flags
# may change bits.
set(NX_ORGANISING statistics records spec campaign interchange report plan doctor slurm study tasks config cli)
set(NX_QUICK_FLAGS -O1)
if(NEXUS_SANITIZE)
  set(NX_QUICK_FLAGS -O0 -g1)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # False alarms on lists of strings and on "text" + std::string (GCC bugs 105329, 105651).
  list(APPEND NX_QUICK_FLAGS -Wno-array-bounds -Wno-stringop-overflow)
endif()

# nx_compile_together(target): its files in few units of the compiler (a unity build). Most of a unit's time goes into templates of
# libraries, which every unit compiles anew. No two files of a target may define the same name, unnamed namespaces included.
function(nx_compile_together target)
  if(NEXUS_UNITY)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 12)
  endif()
endfunction()

# nx_module(name SOURCES... [DEPS nexus modules or libraries]): the static library nx_<name>, included as "<name>/file.h".
function(nx_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(nx_${name} STATIC ${ARG_SOURCES})
  target_include_directories(nx_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(nx_${name} PUBLIC cxx_std_20)
  target_link_libraries(nx_${name} PUBLIC ${ARG_DEPS} PRIVATE nx_flags ${ARG_PRIVATE_DEPS})
  if(name STREQUAL "backend")  # has flags of its own, and kernels whose code shall not depend on their neighbours
    target_precompile_headers(nx_backend PRIVATE ${NX_STANDARD_HEADERS})
    return()
  endif()
  nx_compile_together(nx_${name})
  if(name IN_LIST NX_ORGANISING)
    target_compile_options(nx_${name} PRIVATE ${NX_QUICK_FLAGS})
    target_precompile_headers(nx_${name} REUSE_FROM nx_precompiled_quick)
  else()
    target_precompile_headers(nx_${name} REUSE_FROM nx_precompiled)
  endif()
endfunction()

# Flags of our own code only. Floating point stays IEEE (no -ffast-math): resume is bit-identical by contract, and NaN
# checks must work. -ffp-contract=off would cost speed; contraction is deterministic for one binary, which is all we claim.
add_library(nx_flags INTERFACE)
target_compile_options(nx_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Werror -march=${NEXUS_ARCH}
                       -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(nx_flags INTERFACE -Wno-restrict)  # false alarms on "text" + std::string (GCC bug 105651)
endif()
target_link_libraries(nx_flags INTERFACE OpenMP::OpenMP_CXX)
if(CCACHE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(nx_flags INTERFACE -fpch-preprocess)  # lets ccache see which precompiled header a file takes
endif()
if(NEXUS_SANITIZE)
  target_compile_options(nx_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                         -fno-omit-frame-pointer)
  string(APPEND CMAKE_CXX_FLAGS " -O1")  # before the targets' own options, which may say -O0
  # Instrumented code defeats GCC's flow analysis; the sanitizers themselves are the better check.
  target_compile_options(nx_flags INTERFACE -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
endif()

nx_precompiled(nx_precompiled HEADERS ${NX_JSON_HEADERS})
nx_precompiled(nx_precompiled_quick HEADERS ${NX_JSON_HEADERS} OPTIONS ${NX_QUICK_FLAGS})
