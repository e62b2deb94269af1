// Checks for programs under mpirun: the first failure prints rank, line and text, and ends the whole job with 1.
#pragma once

#include <cstdio>
#include <string>

#include "comm/communicator.h"

#define MPI_EXPECT(condition, text)                                                                       \
  do {                                                                                                    \
    if (!(condition)) {                                                                                   \
      std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, std::string(text).c_str()); \
      ::nexus::MpiSession::abort(1);                                                                      \
    }                                                                                                     \
  } while (false)
