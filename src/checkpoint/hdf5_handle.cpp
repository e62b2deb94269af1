#include "checkpoint/hdf5_handle.h"

#include <mutex>
#include <utility>

namespace nexus {
namespace {

std::recursive_mutex& hdf5_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

thread_local int locks_held = 0;

herr_t keep_innermost(unsigned index, const H5E_error2_t* error, void* text) {
  if (index == 0 && error->desc != nullptr) *static_cast<std::string*>(text) = error->desc;
  return 0;
}

// "file write failed: ... errno = 28, error message = 'No space left on device', ..." -> the part in quotes.
std::string innermost_reason() {
  std::string text;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, &text);
  const std::string mark = "error message = '";
  const size_t begin = text.find(mark);
  if (begin == std::string::npos) return text.empty() ? "HDF5 gives no reason" : text;
  const size_t end = text.find('\'', begin + mark.size());
  return text.substr(begin + mark.size(), end - begin - mark.size());
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
  const char* todo = kind_ == ErrorKind::kIo ? "check free space, quota and the disk, then run the same command again"
                                             : "resume from an older checkpoint (`nexus ckpt ls RUN` lists them)";
  throw Error(kind_, fmt::format("cannot {}: {}", operation, innermost_reason()), where_, todo);
}

void initialize_hdf5() {
  const Hdf5Lock lock;  // before the guard of the static: the other order could deadlock
  static const bool done = [] {
    // Our handles close everything. HDF5's exit handler would flush a file whose close has failed again, and may crash
    // in it.
    H5dont_atexit();
    H5open();
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
    H5PLset_loading_state(0);
    return true;
  }();
  static_cast<void>(done);
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
