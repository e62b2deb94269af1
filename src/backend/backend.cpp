#include "backend/backend.h"

#include "system/clock.h"

namespace nexus {

void Backend::copy_in(const Tensor& device, const void* host) {
  if (observer_ != nullptr) observer_->before();
  do_copy_in(device, host);
  if (observer_ != nullptr) observer_->after({.family = "transfer", .bytes = ops::bytes_of(device)});
}

void Backend::copy_out(void* host, const Tensor& device) {
  if (observer_ != nullptr) observer_->before();
  do_copy_out(host, device);
  if (observer_ != nullptr) observer_->after({.family = "transfer", .bytes = ops::bytes_of(device)});
}

void Backend::set_observer(OperationObserver* observer) {
  NX_CHECK(observer == nullptr || observer_ == nullptr, "a second observer of back end {}", name());
  observer_ = observer;
}

Mark Backend::mark() {
  synchronize();
  return {nullptr, steady_seconds()};
}

double Backend::seconds_between(const Mark& from, const Mark& to) {
  return to.host - from.host;
}

namespace {

class DryBackend final : public Backend {
 public:
  std::string name() const override { return "dry"; }
  std::string description() const override { return "dry (counts, computes nothing)"; }

  // Null data of the right size, so that views can be taken.
  Buffer allocate(int64_t size_bytes, const std::string&) override { return Buffer(nullptr, size_bytes, nullptr); }
  void synchronize() override {}

  void do_run(size_t, const void*) override {}
  void do_copy_in(const Tensor&, const void*) override {}
  void do_copy_out(void*, const Tensor&) override {}  // leaves the host's memory as it is
};

}  // namespace

std::unique_ptr<Backend> make_dry_backend() {
  return std::make_unique<DryBackend>();
}

}  // namespace nexus
