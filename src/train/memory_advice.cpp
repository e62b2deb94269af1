#include "train/memory_advice.h"

#include <algorithm>
#include <optional>
#include <string>

#include "accounting/device_memory.h"
#include "core/units.h"
#include "layers/device_batch.h"
#include "model/dry_run.h"

namespace nexus {
namespace {

MicroBatchSpec changed(const MicroBatchSpec& spec, int64_t micro, Recompute recompute) {
  MicroBatchSpec other = spec;
  other.layout.accumulation = spec.layout.accumulation * spec.layout.micro / micro;
  other.layout.micro = micro;
  other.options.recompute = recompute;
  return other;
}

// All that is still to be allocated before a stage has seen its first step and evaluation.
int64_t need_of(const MicroBatchSpec& spec) {
  const DeviceLoad load{spec.compute, spec.layout.micro, spec.layout.context, spec.options.deterministic};
  return activations_bytes(spec) + device_overhead(spec.config, load, spec.sharding).pending_bytes();
}

// The largest half, quarter, ... of the micro-batch that divides the global batch and fits.
std::optional<MicroBatchSpec> smaller(const MicroBatchSpec& spec, Recompute recompute, int64_t room) {
  const int64_t samples = spec.layout.accumulation * spec.layout.micro;  // of this rank
  for (int64_t micro = spec.layout.micro / 2; micro > 0; micro /= 2)
    if (const MicroBatchSpec other = changed(spec, micro, recompute); samples % micro == 0 && need_of(other) <= room)
      return other;
  return std::nullopt;
}

std::string setting(const std::string& text, const MicroBatchSpec& spec) {
  return fmt::format("{} (needs {})", text, format_bytes(need_of(spec)));
}

std::string micro_setting(const MicroBatchSpec& spec) {
  return fmt::format("batch.micro to {}", spec.layout.micro);
}

std::string hopeless(const MicroBatchSpec& spec, int64_t room) {
  return fmt::format(
      "even batch.micro 1 needs {}, and {} are free: start more ranks (parallel.zero 1 or parallel.tp), or choose a "
      "smaller model or context",
      format_bytes(need_of(changed(spec, 1, spec.options.recompute))), format_bytes(room));
}

std::string cure(const MicroBatchSpec& spec, int64_t room) {
  const std::string recomputing = "precision.recompute to activations";
  const MicroBatchSpec lean = changed(spec, spec.layout.micro, Recompute::kActivations);
  const bool can_change = spec.options.recompute == Recompute::kNone;
  std::string ways;
  if (can_change && need_of(lean) <= room) ways = "set " + setting(recomputing, lean);
  if (const auto fewer = smaller(spec, spec.options.recompute, room))
    ways += (ways.empty() ? "set " : ", or ") + setting(micro_setting(*fewer), *fewer);
  if (!ways.empty()) return ways;
  if (!can_change) return hopeless(spec, room);
  if (const auto fewer = smaller(spec, Recompute::kActivations, room))
    return "set " + setting(recomputing + " and " + micro_setting(*fewer), *fewer);
  return hopeless(lean, room);
}

}  // namespace

int64_t evaluation_bytes(const MicroBatchSpec& spec) {
  const Model model(spec.config, spec.sharding);
  Arena inputs;
  alloc_batch(inputs, model.batch_fields(spec.layout.context), spec.layout.micro);
  inputs.alloc(wide_of(spec.compute), {spec.layout.micro, model.output().figures_per_sample(spec.layout.context)});
  return inputs.peak_bytes() + dry_run(spec.config, spec.compute, spec.layout.micro, spec.layout.context,
                                       ModelUse::kEvaluation, spec.sharding)
                                   .arena_bytes;
}

int64_t activations_bytes(const MicroBatchSpec& spec) {
  const int64_t training =
      StepRunner::arena_bytes(spec.config, spec.compute, spec.layout, spec.sharding, spec.options.recompute);
  return spec.options.evaluates ? std::max(training, evaluation_bytes(spec)) : training;
}

Buffer allocate_activations(Backend& backend, const MicroBatchSpec& spec) {
  try {
    return backend.allocate(activations_bytes(spec), "activations of a micro-batch");
  } catch (const Error& error) {
    const DeviceMemory memory = backend.memory();
    if (error.kind() != ErrorKind::kConfig || memory.total_bytes == 0) throw;  // a host: nobody says what is free
    throw Error(error.kind(), error.fact(), error.where(), cure(spec, memory.free_bytes));
  }
}

}  // namespace nexus
