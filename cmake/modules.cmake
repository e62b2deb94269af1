# nx_module(name SOURCES... [DEPS nexus modules or libraries]): the static library nx_<name>, included as "<name>/file.h".
function(nx_module name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(nx_${name} STATIC ${ARG_SOURCES})
  target_include_directories(nx_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_compile_features(nx_${name} PUBLIC cxx_std_20)
  target_link_libraries(nx_${name} PUBLIC ${ARG_DEPS} PRIVATE nx_flags ${ARG_PRIVATE_DEPS})
  # Instrumented code compiles in half the time at -O0; only these modules would lose more in running.
  set(busy core tensor backend comm data params layers optim model train)
  if(NEXUS_SANITIZE AND NOT name IN_LIST busy)
    target_compile_options(nx_${name} PRIVATE -O0)
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
if(NEXUS_SANITIZE)
  target_compile_options(nx_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                         -fno-omit-frame-pointer)
  string(APPEND CMAKE_CXX_FLAGS " -O1")  # before the targets' own options, which may say -O0
  # Instrumented code defeats GCC's flow analysis; the sanitizers themselves are the better check.
  target_compile_options(nx_flags INTERFACE -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=address,undefined)
endif()
