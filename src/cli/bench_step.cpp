#include "cli/bench_step.h"

#include <algorithm>

#include "growth/grow.h"
#include "model/workload.h"
#include "params/replication.h"
#include "plan/plan.h"
#include "system/clock.h"

namespace nexus {
namespace {

AdamW adamw_of(const OptimizerSpec& spec) {
  return {spec.beta1, spec.beta2, spec.eps, spec.clip};
}

}  // namespace

StepBench::StepBench(const CampaignSpec& spec, Backend& backend, ProcessGrid& grid)
    : config_(spec.model_of_stage(0)),
      grid_(grid),
      model_(config_, sharding_of(grid, spec.parallel.zero, spec.parallel.sequence)),
      params_(backend, model_.table(), spec.precision.compute),
      layout_(make_batch_layout(spec.batch, spec.data.context, grid.dp_rank(), grid.dp_size())),
      runner_(backend, grid, model_, params_, layout_, spec.safety,
              {spec.precision.recompute, spec.precision.deterministic}),
      optimizer_(adamw_of(spec.optimizer), spec.optimizer.weight_decay, {first_generation(config_)},
                 spec.optimizer.lr_scale),
      random_samples_(workload(config_.workload).random_samples(spec.data.context, config_, spec.seed)) {
  params_.initialize(spec.seed);
}

std::unique_ptr<StepBench> StepBench::make(const CampaignSpec& spec, Backend& backend, ProcessGrid& grid) {
  make_batch_layout(spec.batch, spec.data.context, grid.dp_rank(), grid.dp_size());  // refuses on every rank alike
  std::unique_ptr<StepBench> bench;
  grid.world().try_together("preparing a step", [&] { bench = std::make_unique<StepBench>(spec, backend, grid); });
  return bench;
}

double StepBench::step() {
  constexpr double kLearningRate = 1e-4;
  const double start = steady_seconds();
  runner_.run(random_samples_, optimizer_, {samples_, kLearningRate, kLearningRate, {}});
  backend().synchronize();
  samples_ += layout_.samples();
  return steady_seconds() - start;
}

StepRun time_steps(const CampaignSpec& spec, StepBench& bench, int warmup, int steps) {
  Communicator& world = bench.grid().world();
  StepRun run;
  run.micro = bench.layout().micro;
  run.accumulation = bench.layout().accumulation;
  run.tokens = bench.layout().tokens();
  run.params = bench.params();
  for (int i = 0; i < warmup; ++i) bench.step();
  world.barrier();
  for (int i = 0; i < steps; ++i) run.seconds.push_back(bench.step());
  for (double& seconds : run.seconds) seconds = world.max(seconds);
  const auto largest = [&](int64_t bytes) { return static_cast<int64_t>(world.max(static_cast<double>(bytes))); };
  run.buffer_bytes = largest(bench.buffer_bytes());
  run.planned_bytes = make_forecast(spec, world.size()).stages[0].memory.training_bytes();
  const DeviceMemory memory = bench.backend().memory();
  run.device_bytes = largest(memory.total_bytes - memory.free_bytes);
  return run;
}

double StepProfile::family_seconds() const {
  double sum = 0;
  for (const auto& [name, family] : families) sum += family.seconds;
  return sum / steps;
}

StepProfile profile_steps(const CampaignSpec& spec, Backend& backend, ProcessGrid& grid, int warmup, int steps) {
  const std::unique_ptr<StepBench> bench = StepBench::make(spec, backend, grid);
  for (int i = 0; i < warmup; ++i) bench->step();
  Profiler profiler(backend);
  grid.world().barrier();
  StepProfile profile;
  profile.steps = steps;
  for (int i = 0; i < steps; ++i) {
    profile.step_seconds += bench->step() / steps;
    profiler.families();  // outside the timed part; marks would pile up
  }
  profile.families = profiler.families();
  return profile;
}

}  // namespace nexus
