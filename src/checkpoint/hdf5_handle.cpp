#include "checkpoint/hdf5_handle.h"

#include <mutex>
#include <utility>

#include "checkpoint/strict_json.h"

namespace nexus {
namespace {

std::recursive_mutex& hdf5_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

thread_local int locks_held = 0;

// Why the last call failed. `passing`: the system refused to read, write or give memory, which says nothing about what
// is in the file.
struct Reason {
  std::string text;
  bool passing = false;
};

herr_t keep_innermost(unsigned index, const H5E_error2_t* error, void* to) {
  if (index > 0) return 0;
  auto& reason = *static_cast<Reason*>(to);
  reason.passing = error->maj_num == H5E_RESOURCE && (error->min_num == H5E_NOSPACE || error->min_num == H5E_CANTALLOC);
  if (error->desc != nullptr) reason.text = error->desc;
  return 0;
}

// "file write failed: ... errno = 28, error message = 'No space left on device', ..." -> the part in quotes. Only what
// HDF5 asked of the system has that form.
Reason innermost_reason() {
  Reason reason;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &reason);
  const std::string mark = "error message = '";
  const size_t begin = reason.text.rfind(mark);
  if (begin == std::string::npos) return reason.text.empty() ? Reason{"HDF5 gives no reason"} : reason;
  const size_t end = reason.text.find('\'', begin + mark.size());
  return {reason.text.substr(begin + mark.size(), end - begin - mark.size()), true};
}

}  // namespace

Hdf5Lock::Hdf5Lock() {
  hdf5_mutex().lock();
  ++locks_held;
}

Hdf5Lock::~Hdf5Lock() {
  --locks_held;
  hdf5_mutex().unlock();
}

bool Hdf5Lock::held() {
  return locks_held > 0;
}

Hdf5Handle::Hdf5Handle(Hdf5Handle&& other) noexcept
    : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}

Hdf5Handle& Hdf5Handle::operator=(Hdf5Handle&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(close_, other.close_);
  return *this;
}

bool Hdf5Handle::reset() {
  const hid_t id = std::exchange(id_, H5I_INVALID_HID);
  if (id < 0) return true;
  const Hdf5Lock lock;
  return close_(id) >= 0;
}

Hdf5Context::Hdf5Context(ErrorKind kind, std::string where) : kind_(kind), where_(std::move(where)) {
  initialize_hdf5();
}

Hdf5Handle Hdf5Context::own(hid_t id, Hdf5Handle::Close close, const std::string& operation) const {
  NX_CHECK(Hdf5Lock::held(), "HDF5 called without its lock to {}", operation);
  if (id < 0) fail(operation);
  return Hdf5Handle(id, close);
}

void Hdf5Context::check(bool succeeded, const std::string& operation) const {
  NX_CHECK(Hdf5Lock::held(), "HDF5 called without its lock to {}", operation);
  if (!succeeded) fail(operation);
}

void Hdf5Context::fail(const std::string& operation) const {
  const Reason reason = innermost_reason();
  const ErrorKind kind = reason.passing ? ErrorKind::kIo : kind_;
  const char* todo = kind == ErrorKind::kIo ? "check free space, quota and the disk, then run the same command again"
                                            : "resume from an older checkpoint (`nexus ckpt ls RUN` lists them)";
  throw Error(kind, fmt::format("cannot {}: {}", operation, reason.text), where_, todo);
}

void Hdf5Context::refuse(const std::string& what) const {
  NX_CHECK(Hdf5Lock::held(), "HDF5 was called without its lock: {}", what);
  if (const Reason reason = innermost_reason(); reason.passing)
    throw Error(ErrorKind::kIo, "cannot read: " + reason.text, where_,
                "check the disk, then run the same command again");
  throw_damaged(what, where_);
}

void initialize_hdf5() {
  const Hdf5Lock lock;  // before the guard of the static: the other order could deadlock
  static const bool done = [] {
    // Our handles close everything. HDF5's exit handler would flush a file whose close has failed again, and may crash
    // in it.
    H5dont_atexit();
    H5open();
    H5PLset_loading_state(0);
    return true;
  }();
  thread_local const bool quiet = H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr) >= 0;  // each thread has its own errors
  static_cast<void>(done);
  static_cast<void>(quiet);
}

Hdf5Handle shard_access_properties(const Hdf5Context& context) {
  const char* operation = "set HDF5 file properties";
  Hdf5Handle access = context.own(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, operation);
  // The newest format that HDF5 1.10 knows: its metadata carries checksums, and every later release reads it.
  context.check(H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0, operation);
  // A shard has one writer in a folder nobody else knows yet, and never changes after that: locks, which fail on some
  // network file systems, add nothing.
  context.check(H5Pset_file_locking(access.get(), 0, 1) >= 0, operation);
  context.check(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG) >= 0, operation);
  return access;
}

}  // namespace nexus
