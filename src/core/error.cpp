#include "core/error.h"

#include <cerrno>
#include <cstring>

namespace nexus {
namespace {

std::string join(const std::string& what, const std::string& where, const std::string& todo) {
  std::string text = what;
  if (!where.empty()) text += "; " + where;
  if (!todo.empty()) text += "; " + todo;
  return text;
}

}  // namespace

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kConfig: return 2;
    case ErrorKind::kData:
    case ErrorKind::kCheckpoint: return 3;
    case ErrorKind::kNumeric: return 4;
    case ErrorKind::kIo:
    case ErrorKind::kComm: return 74;
    case ErrorKind::kDevice: return 76;
    case ErrorKind::kFenced: return 77;
    case ErrorKind::kNoProgress: return 93;
    case ErrorKind::kInternal: return 1;
  }
  return 1;
}

Error::Error(ErrorKind kind, const std::string& what, const std::string& where, const std::string& todo)
    : std::runtime_error(join(what, where, todo)), kind_(kind), fact_(what), where_(where), todo_(todo) {}

void throw_errno(const std::string& operation, const std::string& path) {
  const int code = errno;
  const char* todo = "check the path and its permissions";
  if (code == ENOSPC || code == EDQUOT) todo = "free some space, then run the same command again";
  throw Error(ErrorKind::kIo, fmt::format("cannot {}: {}", operation, std::strerror(code)), path, todo);
}

void check_failed(const char* file, int line, const char* expression, const std::string& detail) {
  std::string what = fmt::format("internal check failed: {}", expression);
  if (!detail.empty()) what += " (" + detail + ")";
  throw Error(ErrorKind::kInternal, what, fmt::format("{}:{}", file, line), "this is a bug in nexus: please report it");
}

}  // namespace nexus
