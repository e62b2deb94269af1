# Precompiled headers: without them more than half of a build goes into parsing the same headers of libraries again and again
# (docs/install.md, "Where build time goes"). Modules and tests get them by themselves; every source file still includes what it
# uses, so that -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON can be tried.
set(NX_STANDARD_HEADERS <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <cstdint> <cstdio> <cstdlib> <cstring> <deque>
    <filesystem> <fstream> <functional> <limits> <map> <memory> <mutex> <numeric> <optional> <set> <sstream> <string>
    <string_view> <thread> <utility> <vector> <fmt/format.h>)
set(NX_JSON_HEADERS ${NX_STANDARD_HEADERS} <nlohmann/json.hpp>)  # costs a file that does not use it 0.8 s
set(NX_GTEST_HEADERS <gmock/gmock.h> <gtest/gtest.h>)

# nx_precompiled(name HEADERS... [OPTIONS compiler flags] [DEPS libraries]): compiles these headers once. A target with the same
# flags takes them by `target_precompile_headers(target REUSE_FROM name)`; with other flags it does not compile.
file(WRITE ${CMAKE_BINARY_DIR}/nothing.cpp "")
function(nx_precompiled name)
  cmake_parse_arguments(ARG "" "" "HEADERS;OPTIONS;DEPS" ${ARGN})
  add_library(${name} OBJECT ${CMAKE_BINARY_DIR}/nothing.cpp)
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_compile_options(${name} PRIVATE ${ARG_OPTIONS})
  target_link_libraries(${name} PRIVATE nx_flags fmt::fmt nlohmann_json::nlohmann_json ${ARG_DEPS})
  target_precompile_headers(${name} PRIVATE ${ARG_HEADERS})
endfunction()
