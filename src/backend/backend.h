// Backend: runs the numeric operations of nexus over Tensor views of one device.
//
// The operations are structs in backend/ops/; `backend.run(ops::Add{.x = a, .y = b})` checks one, tells the observer
// what it costs, and hands it to the device. Devices: backend/cpu (f32, bf16, f64), backend/dry (computes nothing),
// cuda/ (f32, bf16). Only `cli` names a concrete one. Layers are written once against this interface.
//
// Conventions, for every operation:
// * Activations and weights have the compute type (f32, bf16 or f64). Statistics, losses and parameter gradients, the
//   "wide" tensors, are f64 if the compute type is f64, f32 otherwise. bf16 operations compute in f32.
// * Scalar arguments are doubles; a kernel rounds them to the type it computes in, and only there.
// * Row-major, contiguous unless a leading dimension is given. Outputs may not alias inputs unless the comment says so.
// * Asynchronous in stream order on a GPU; `synchronize` waits.
// * Results repeat bit for bit for one kind of device, thread count and library version; on a GPU with
//   precision.deterministic only, since libraries choose kernels by timing and add atomically.
// * Shapes are checked; a mismatch is a bug (ErrorKind::kInternal).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "backend/ops/activation.h"
#include "backend/ops/attention.h"
#include "backend/ops/elementwise.h"
#include "backend/ops/matmul.h"
#include "backend/ops/optimizer.h"
#include "backend/ops/row_norm.h"
#include "backend/ops/tokens.h"
#include "tensor/tensor.h"

namespace nexus {

namespace ops {
// Every operation that there is. A list of a header of its own is named here once.
using All = Joined<Elementwise, Matrices, Activations, RowNorms, Attentions, Tokens, Optimizers>::type;
}  // namespace ops

// A point in the order of a device's work.
struct Mark {
  std::shared_ptr<void> event;  // of an asynchronous device
  double host = 0;              // of the host otherwise, by the steady clock
};

// Memory of the device as a whole, whoever uses it. Zeros where it is not limited by the device.
struct DeviceMemory {
  int64_t free_bytes = 0, total_bytes = 0;
};

// Is told of every operation of a back end, and of transfers to and from the host.
class OperationObserver {
 public:
  virtual ~OperationObserver() = default;
  virtual void before() = 0;                 // the device is given its work
  virtual void after(const Cost& cost) = 0;  // and has it
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "cpu", "dry", "cuda"
  // Facts that change bits or speed (library versions, instruction set, threads), recorded in run.json.
  virtual std::string description() const = 0;

  template <typename Op>
  void run(const Op& op) {
    op.check();
    if (observer_ != nullptr) observer_->before();
    do_run(ops::All::index_of<Op>(), &op);
    if (observer_ != nullptr) observer_->after(op.cost());
  }

  // --- memory
  // Uninitialised. `what` names the buffer in the error (ErrorKind::kConfig) that says that it does not fit.
  virtual Buffer allocate(int64_t size_bytes, const std::string& what) = 0;
  Buffer allocate(int64_t size_bytes) { return allocate(size_bytes, "scratch"); }
  virtual DeviceMemory memory() const { return {}; }
  // The host memory may be reused on return, though a GPU may not have the bytes yet: in stream order it has.
  void copy_in(const Tensor& device, const void* host);
  void copy_out(void* host, const Tensor& device);  // waits for everything before it
  virtual void synchronize() = 0;

  // --- time
  virtual Mark mark();                                               // after everything called so far
  virtual double seconds_between(const Mark& from, const Mark& to);  // waits until both are reached

  // One at a time; null for none.
  void set_observer(OperationObserver* observer);

  // --- the device's part, for back ends and what wraps one. `op` is the checked operation of that index in ops::All.
  virtual void do_run(size_t index, const void* op) = 0;
  virtual void do_copy_in(const Tensor& device, const void* host) = 0;
  virtual void do_copy_out(void* host, const Tensor& device) = 0;

 private:
  OperationObserver* observer_ = nullptr;
};

// The kernels of `Device`, in the order of the list: for every operation `compute(const Op&, Device&)`, a template that
// the device's header declares and a kernel file specialises. One that is missing is an error of the linker.
template <typename Device>
using Kernel = void (*)(const void* op, Device& device);

template <typename Device, typename... Ops>
constexpr std::array<Kernel<Device>, sizeof...(Ops)> kernel_table(ops::List<Ops...>) {
  return {[](const void* op, Device& device) { compute(*static_cast<const Ops*>(op), device); }...};
}

// The back ends that are always there; cuda/cuda_backend.h has the one of NVIDIA GPUs.
// The host's processor: oneDNN or OpenBLAS for matrices, OpenMP kernels for the rest. `threads` 0 keeps
// OMP_NUM_THREADS.
std::unique_ptr<Backend> make_cpu_backend(int threads = 0);

// The shape checks of a device, no memory and no arithmetic: buffers are null. With a counting Arena and a Profiler it
// is how `nexus plan` and the trainer learn bytes and FLOPs before anything is allocated.
std::unique_ptr<Backend> make_dry_backend();

}  // namespace nexus
