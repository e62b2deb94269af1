// A back end with a limit to its memory, like a GPU: what does not fit is refused, as backend/backend.h says.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backend/profiled.h"
#include "core/units.h"

namespace nexus::testing {

class LimitedBackend final : public ProfiledBackend {
 public:
  LimitedBackend(Backend& inner, int64_t limit_bytes) : ProfiledBackend(inner), limit_(limit_bytes) {}

  using Backend::allocate;
  Buffer allocate(int64_t size_bytes, const std::string& what) override {
    const int64_t room = limit_ - *used_;
    if (size_bytes > room)
      throw Error(ErrorKind::kConfig,
                  fmt::format("{}: {} do not fit, {} are free", what, format_bytes(size_bytes), format_bytes(room)),
                  "device 0", "use less");
    *used_ += size_bytes;
    auto inner = std::make_shared<Buffer>(ProfiledBackend::allocate(size_bytes, what));
    void* data = inner->data();
    return Buffer(data, size_bytes, [inner, used = used_, size_bytes](void*) mutable {
      inner.reset();
      *used -= size_bytes;
    });
  }
  DeviceMemory memory() const override { return {limit_ - *used_, limit_}; }

 private:
  int64_t limit_;
  std::shared_ptr<int64_t> used_ = std::make_shared<int64_t>(0);  // buffers may outlive the back end
};

}  // namespace nexus::testing
