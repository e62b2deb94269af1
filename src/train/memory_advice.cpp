#include "train/memory_advice.h"

#include <functional>
#include <optional>
#include <string>

#include "accounting/device_memory.h"
#include "core/units.h"
#include "model/dry_run.h"

namespace nexus {
namespace {

MicroBatchSpec changed(const MicroBatchSpec& spec, int64_t micro, Recompute recompute) {
  MicroBatchSpec other = spec;
  other.layout.accumulation = spec.layout.accumulation * spec.layout.micro / micro;
  other.layout.micro = micro;
  other.recompute = recompute;
  return other;
}

// All that is still to be allocated before a stage has seen its first step and evaluation.
int64_t training_need(const MicroBatchSpec& spec) {
  const DeviceLoad load{spec.compute, spec.layout.micro, spec.layout.context};
  return StepRunner::arena_bytes(spec.config, spec.compute, spec.layout, spec.sharding, spec.recompute) +
         evaluation_bytes(spec) + device_overhead(spec.config, load, spec.sharding).workspace_bytes();
}

using Need = std::function<int64_t(const MicroBatchSpec&)>;

// The largest half, quarter, ... of the micro-batch that divides the global batch and fits.
std::optional<MicroBatchSpec> smaller(const MicroBatchSpec& spec, Recompute recompute, int64_t room, const Need& need) {
  const int64_t samples = spec.layout.accumulation * spec.layout.micro;  // of this rank
  for (int64_t micro = spec.layout.micro / 2; micro > 0; micro /= 2)
    if (const MicroBatchSpec other = changed(spec, micro, recompute); samples % micro == 0 && need(other) <= room)
      return other;
  return std::nullopt;
}

std::string setting(const std::string& text, const MicroBatchSpec& spec, const Need& need) {
  return fmt::format("{} (needs {})", text, format_bytes(need(spec)));
}

std::string micro_setting(const MicroBatchSpec& spec) {
  return fmt::format("batch.micro to {}", spec.layout.micro);
}

std::string hopeless(const MicroBatchSpec& spec, int64_t room, const Need& need) {
  return fmt::format(
      "even batch.micro 1 needs {}, and {} are free: start more ranks (parallel.zero 1 or parallel.tp), or choose a "
      "smaller model or context",
      format_bytes(need(changed(spec, 1, spec.recompute))), format_bytes(room));
}

std::string training_cure(const MicroBatchSpec& spec, int64_t room) {
  const std::string recomputing = "precision.recompute to activations";
  const MicroBatchSpec lean = changed(spec, spec.layout.micro, Recompute::kActivations);
  const bool can_change = spec.recompute == Recompute::kNone;
  std::string ways;
  if (can_change && training_need(lean) <= room) ways = "set " + setting(recomputing, lean, training_need);
  if (const auto fewer = smaller(spec, spec.recompute, room, training_need))
    ways += (ways.empty() ? "set " : ", or ") + setting(micro_setting(*fewer), *fewer, training_need);
  if (!ways.empty()) return ways;
  if (!can_change) return hopeless(spec, room, training_need);
  if (const auto fewer = smaller(spec, Recompute::kActivations, room, training_need))
    return "set " + setting(recomputing + " and " + micro_setting(*fewer), *fewer, training_need);
  return hopeless(lean, room, training_need);
}

std::string evaluation_cure(const MicroBatchSpec& spec, int64_t room) {
  if (const auto fewer = smaller(spec, spec.recompute, room, evaluation_bytes))
    return "set " + setting(micro_setting(*fewer), *fewer, evaluation_bytes);
  return hopeless(spec, room, evaluation_bytes);
}

// Calls `cure(free bytes)` only where the device is full.
Buffer allocate_or_advise(Backend& backend, int64_t size_bytes, const std::string& what,
                          const std::function<std::string(int64_t)>& cure) {
  try {
    return backend.allocate(size_bytes, what);
  } catch (const Error& error) {
    const DeviceMemory memory = backend.memory();
    if (error.kind() != ErrorKind::kConfig || memory.total_bytes == 0) throw;
    throw Error(error.kind(), error.fact(), error.where(), cure(memory.free_bytes));
  }
}

}  // namespace

int64_t evaluation_bytes(const MicroBatchSpec& spec) {
  const int64_t rows = spec.layout.micro * spec.layout.context;
  Arena inputs;  // tokens, targets, losses
  for (int i = 0; i < 3; ++i) inputs.alloc(wide_of(spec.compute), {rows});
  return inputs.peak_bytes() + dry_run(spec.config, spec.compute, spec.layout.micro, spec.layout.context,
                                       ModelUse::kEvaluation, spec.sharding)
                                   .arena_bytes;
}

Buffer allocate_activations(Backend& backend, const MicroBatchSpec& spec) {
  const int64_t bytes = StepRunner::arena_bytes(spec.config, spec.compute, spec.layout, spec.sharding, spec.recompute);
  return allocate_or_advise(backend, bytes, "activations of a micro-batch",
                            [&](int64_t room) { return training_cure(spec, room); });
}

Buffer allocate_evaluation(Backend& backend, const MicroBatchSpec& spec) {
  return allocate_or_advise(backend, evaluation_bytes(spec), "an evaluation micro-batch",
                            [&](int64_t room) { return evaluation_cure(spec, room); });
}

}  // namespace nexus
