// A back end with a limit to its memory, like a GPU: what does not fit is refused, as backend/backend.h says.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "backend/backend.h"
#include "core/units.h"

namespace nexus::testing {

class LimitedBackend final : public Backend {
 public:
  LimitedBackend(Backend& inner, int64_t limit_bytes) : inner_(inner), limit_(limit_bytes) {}

  using Backend::allocate;
  Buffer allocate(int64_t size_bytes, const std::string& what) override {
    const int64_t room = limit_ - *used_;
    if (size_bytes > room)
      throw Error(ErrorKind::kConfig,
                  fmt::format("{}: {} do not fit, {} are free", what, format_bytes(size_bytes), format_bytes(room)),
                  "device 0", "use less");
    *used_ += size_bytes;
    auto inner = std::make_shared<Buffer>(inner_.allocate(size_bytes, what));
    void* data = inner->data();
    return Buffer(data, size_bytes, [inner, used = used_, size_bytes](void*) mutable {
      inner.reset();
      *used -= size_bytes;
    });
  }
  DeviceMemory memory() const override { return {limit_ - *used_, limit_}; }

  std::string name() const override { return inner_.name(); }
  std::string description() const override { return inner_.description(); }
  void synchronize() override { inner_.synchronize(); }
  void do_run(size_t index, const void* op) override { inner_.do_run(index, op); }
  void do_copy_in(const Tensor& device, const void* host) override { inner_.do_copy_in(device, host); }
  void do_copy_out(void* host, const Tensor& device) override { inner_.do_copy_out(host, device); }

 private:
  Backend& inner_;
  int64_t limit_;
  std::shared_ptr<int64_t> used_ = std::make_shared<int64_t>(0);  // buffers may outlive the back end
};

}  // namespace nexus::testing
