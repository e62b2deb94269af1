#include "core/error.h"

#include <cerrno>
#include <cstring>

#include "core/host.h"

namespace nexus {
namespace {

std::string join(const std::string& what, const std::string& where, const std::string& todo) {
  std::string text = what;
  if (!where.empty()) text += "; " + where;
  if (!todo.empty()) text += "; " + todo;
  return text;
}

}  // namespace

ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kConfig: return ExitCode::kConfig;
    case ErrorKind::kData:
    case ErrorKind::kCheckpoint: return ExitCode::kData;
    case ErrorKind::kNumeric: return ExitCode::kNumeric;
    case ErrorKind::kIo:
    case ErrorKind::kComm: return ExitCode::kTransient;
    case ErrorKind::kDevice: return ExitCode::kHardware;
    case ErrorKind::kFenced: return ExitCode::kFenced;
    case ErrorKind::kNoProgress: return ExitCode::kNoProgress;
    case ErrorKind::kInternal: return ExitCode::kBug;
  }
  return ExitCode::kBug;
}

const char* name_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kConfig: return "config";
    case ErrorKind::kData: return "data";
    case ErrorKind::kCheckpoint: return "checkpoint";
    case ErrorKind::kNumeric: return "numeric";
    case ErrorKind::kIo: return "io";
    case ErrorKind::kComm: return "comm";
    case ErrorKind::kDevice: return "device";
    case ErrorKind::kFenced: return "fenced";
    case ErrorKind::kNoProgress: return "no_progress";
    case ErrorKind::kInternal: return "internal";
  }
  return "internal";
}

Error::Error(ErrorKind kind, const std::string& what, const std::string& where, const std::string& todo)
    : std::runtime_error(join(what, where, todo)), kind_(kind), fact_(what), where_(where), todo_(todo) {
  if (kind == ErrorKind::kDevice) suspect_node_ = host_name();
}

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
