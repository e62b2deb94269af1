// A thin RAII layer over the HDF5 C API, private to this module.
//
// HDF5's own error stack is not printed: a failed call becomes an Error that carries HDF5's innermost reason. Plugins
// (filters loaded from shared libraries) are switched off. The serial library below is for one thread at a time in the
// whole process; background saves make more than one. So every call is made under an Hdf5Lock, and others wait.
#pragma once

#include <hdf5.h>

#include <string>

#include "core/error.h"

namespace nexus {

// The process-wide right to call HDF5; waits for it. A thread may hold it several times. Code outside this module that
// calls HDF5 itself must hold it too while a save may be under way.
class Hdf5Lock {
 public:
  Hdf5Lock();
  ~Hdf5Lock();
  Hdf5Lock(const Hdf5Lock&) = delete;
  Hdf5Lock& operator=(const Hdf5Lock&) = delete;
  static bool held();  // by this thread
};

// Owns one HDF5 identifier.
class Hdf5Handle {
 public:
  using Close = herr_t (*)(hid_t);
  Hdf5Handle() = default;
  Hdf5Handle(hid_t id, Close close) : id_(id), close_(close) {}
  ~Hdf5Handle() { reset(); }
  Hdf5Handle(Hdf5Handle&& other) noexcept;
  Hdf5Handle& operator=(Hdf5Handle&& other) noexcept;

  hid_t get() const { return id_; }
  // Closes now, under its own Hdf5Lock; false if HDF5 reports a failure (data that could not be flushed). The
  // identifier is given up either way.
  bool reset();

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

// Turns return codes of HDF5 into errors about one file. Checks that the caller holds an Hdf5Lock.
class Hdf5Context {
 public:
  Hdf5Context(ErrorKind kind, std::string where);
  const std::string& where() const { return where_; }

  // Takes ownership of `id`; throws "cannot OPERATION" if it is negative.
  Hdf5Handle own(hid_t id, Hdf5Handle::Close close, const std::string& operation) const;
  void check(bool succeeded, const std::string& operation) const;
  // Throws "cannot OPERATION" with HDF5's reason: of this context's kind, but kIo where the system failed under HDF5.
  [[noreturn]] void fail(const std::string& operation) const;
  // For an answer of the latest call that a sound file does not give: damage, unless the system failed under HDF5.
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  ErrorKind kind_;
  std::string where_;
};

// Sets the library up once; called before any other HDF5 call.
void initialize_hdf5();

// File access properties of our shards.
Hdf5Handle shard_access_properties(const Hdf5Context& context);

}  // namespace nexus
