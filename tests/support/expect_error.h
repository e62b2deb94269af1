// EXPECT_NEXUS_ERROR(statement, kind, matcher): the statement throws nexus::Error of this kind whose text matches.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"

#define EXPECT_NEXUS_ERROR(statement, expected_kind, matcher)             \
  do {                                                                    \
    try {                                                                 \
      statement;                                                          \
      ADD_FAILURE() << "threw nothing: " #statement;                      \
    } catch (const ::nexus::Error& nexus_error) {                         \
      EXPECT_EQ(nexus_error.kind(), expected_kind) << nexus_error.what(); \
      EXPECT_THAT(nexus_error.what(), matcher);                           \
    }                                                                     \
  } while (false)
