// The one error style of nexus.
//
// Everything a user can cause or mend is thrown as `Error(kind, what, where, todo)`; `main` prints it as
// `nexus: error: WHAT; WHERE; do THIS` and exits with the kind's code. Broken invariants of our own code use NX_CHECK
// and become ErrorKind::kInternal (a bug: exit 1). Nothing below `cli` exits, and nothing throws from a destructor.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

#include "core/exit_code.h"

namespace nexus {

enum class ErrorKind {
  kConfig,      // usage or configuration, "does not fit in memory"
  kData,        // bad token file, text or tokenizer
  kCheckpoint,  // bad or foreign checkpoint
  kNumeric,     // non-finite loss, a growth that was not lossless
  kIo,          // disk full, permission, transient input/output failure
  kComm,        // MPI or NCCL failure, ranks that disagree
  kDevice,      // accelerator failure
  kFenced,      // a newer copy of this job has taken the run over
  kNoProgress,  // starts that commit nothing: a further one is no cure
  kInternal,    // a bug in nexus
};

// The exit code of the process for an error of this kind.
ExitCode exit_code(ErrorKind kind);
// Its word, "config": the reason in STATUS and lease.
const char* name_of(ErrorKind kind);

class Error : public std::runtime_error {
 public:
  // `what` is the fact, `where` the file, key, rank or tensor, `todo` the cure. `where` and `todo` may be empty.
  Error(ErrorKind kind, const std::string& what, const std::string& where = "", const std::string& todo = "");
  ErrorKind kind() const { return kind_; }
  const std::string& fact() const { return fact_; }
  const std::string& where() const { return where_; }
  const std::string& todo() const { return todo_; }
  // Of kDevice, the node whose hardware is to be suspected: this host, unless the thrower knows better. "": nobody
  // knows.
  const std::string& suspect_node() const { return suspect_node_; }
  void set_suspect_node(const std::string& node) { suspect_node_ = node; }

 private:
  ErrorKind kind_;
  std::string fact_, where_, todo_, suspect_node_;
};

// Throws ErrorKind::kIo with errno's text: "cannot OPERATION; PATH; CURE".
[[noreturn]] void throw_errno(const std::string& operation, const std::string& path);

[[noreturn]] void check_failed(const char* file, int line, const char* expression, const std::string& detail);

}  // namespace nexus

// NX_CHECK(condition[, format, args...]): an invariant of our own code, always on. Values belong into the format.
#define NX_CHECK(condition, ...)                                                                       \
  do {                                                                                                 \
    if (!(condition)) [[unlikely]]                                                                     \
      ::nexus::check_failed(__FILE__, __LINE__, #condition, ::nexus::detail::check_text(__VA_ARGS__)); \
  } while (false)

namespace nexus::detail {
inline std::string check_text() {
  return "";
}
template <typename... Args>
std::string check_text(fmt::format_string<Args...> format, Args&&... args) {
  return fmt::format(format, std::forward<Args>(args)...);
}
}  // namespace nexus::detail
