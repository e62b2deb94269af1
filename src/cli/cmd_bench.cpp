// nexus bench step: speed of one training step on random data, against the matrix-product peak of this machine.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "accounting/flops.h"
#include "backend/profiled.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "config/config.h"
#include "core/rng.h"
#include "core/units.h"
#include "growth/grow.h"
#include "plan/plan.h"
#include "train/step.h"

namespace nexus {
namespace {

struct BenchArguments {
  std::string file = "configs/bench/cpu-4.7m.yaml", device = "cpu";
  std::vector<std::string> more_files, assignments;
  int steps = 10, warmup = 2;
  bool json = false;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Best rate of a large square product in the compute type: the ceiling that the step is compared with.
double gemm_peak_flops_per_second(Backend& backend, DType dtype) {
  constexpr int64_t n = 2048;
  const auto matrix = [&](DType of) { return backend.allocate(n * n * size_of(of), "a matrix of the peak product"); };
  const Buffer buffers[3] = {matrix(dtype), matrix(dtype), matrix(dtype)};
  Tensor mats[3];
  const RandomStream random(1, "gemm peak");
  const Buffer host = host_buffer(n * n * size_of(DType::kF32)), staged = host_buffer(n * n * size_of(dtype));
  for (int i = 0; i < 3; ++i) {
    mats[i] = buffers[i].tensor(dtype, {n, n});
    for (int64_t j = 0; j < n * n; ++j)
      static_cast<float*>(host.data())[j] =
          static_cast<float>(random.uniform(static_cast<uint64_t>(i * n * n + j)) - 0.5);
    const Buffer device = matrix(DType::kF32);
    const Tensor wide = device.tensor(DType::kF32, {n, n});
    backend.copy_in(wide, host.data());
    backend.copy(wide, mats[i]);
  }
  double best = 0;
  for (int round = 0; round < 6; ++round) {
    const auto start = std::chrono::steady_clock::now();
    backend.matmul(mats[0], Mat(mats[1]).t(), mats[2], 0);
    backend.synchronize();
    if (round > 0) best = std::max(best, 2.0 * n * n * n / seconds_since(start));
  }
  return best;
}

// A model with everything a step needs, on random tokens.
class Bench {
 public:
  Bench(const CampaignSpec& spec, Backend& backend)
      : spec_(spec),
        config_(spec.model_of_stage(0)),
        model_(config_),
        params_(backend, model_.table(), spec.precision.compute),
        grid_(make_self_communicator(), 1, 1),
        layout_(make_batch_layout(spec.batch, spec.data.context, 0, 1)),
        runner_(backend, grid_, model_, params_, layout_, spec.safety, spec.precision.recompute),
        optimizer_({spec.optimizer.beta1, spec.optimizer.beta2, spec.optimizer.eps, spec.optimizer.clip},
                   spec.optimizer.weight_decay, {first_generation(config_)}),
        random_(spec.seed, "bench tokens") {
    params_.initialize(spec.seed);
  }

  double step() {
    const auto fetch = [this](int64_t sample, int32_t* tokens, int32_t* targets) {
      const auto vocab = static_cast<uint64_t>(config_.vocab), context = static_cast<uint64_t>(layout_.context);
      for (uint64_t t = 0; t < context; ++t) {
        tokens[t] = static_cast<int32_t>(random_.below(static_cast<uint64_t>(sample) * context + t, vocab));
        targets[t] = static_cast<int32_t>(random_.below(static_cast<uint64_t>(sample) * context + t + 1, vocab));
      }
    };
    const auto start = std::chrono::steady_clock::now();
    runner_.run(fetch, optimizer_, {samples_, 1e-4, 1e-4, {}});
    params_.backend().synchronize();
    samples_ += layout_.samples();
    return seconds_since(start);
  }

  double flops_per_step() const {
    return training_flops_per_token(config_, layout_.context, FlopsDefinition::kGemmCausal) *
           static_cast<double>(layout_.tokens());
  }
  int64_t tokens_per_step() const { return layout_.tokens(); }
  int64_t params() const { return model_.table().count(); }
  int64_t buffer_bytes() const { return params_.size_bytes() + runner_.arena_peak_bytes(); }
  const ModelConfig& config() const { return config_; }

 private:
  const CampaignSpec& spec_;
  ModelConfig config_;
  Model model_;
  ParamStore params_;
  ProcessGrid grid_;
  BatchLayout layout_;
  StepRunner runner_;
  Optimizer optimizer_;
  RandomStream random_;
  int64_t samples_ = 0;
};

void print_families(const ProfiledBackend& profile, int steps, double peak) {
  std::printf("%-12s %10s %8s %8s %10s %8s\n", "family", "ms/step", "share", "calls", "GFLOP/s", "of peak");
  double total = 0;
  for (const auto& [name, family] : profile.families()) total += family.seconds;
  for (const auto& [name, family] : profile.families()) {
    std::printf("%-12s %10.2f %7.1f%% %8lld", name.c_str(), family.seconds / steps * 1e3, 100 * family.seconds / total,
                static_cast<long long>(family.calls / steps));
    if (family.flops > 0)
      std::printf(" %10.1f %7.1f%%", family.flops / family.seconds / 1e9, 100 * family.flops / family.seconds / peak);
    std::printf("\n");
  }
}

int bench_step(const BenchArguments& arguments) {
  const LoadedCampaign loaded =
      load_campaign(arguments.file, arguments.more_files, arguments.assignments, std::nullopt);
  const CampaignSpec& spec = loaded.spec;
  const std::unique_ptr<Backend> backend = make_backend(arguments.device);
  const double peak = gemm_peak_flops_per_second(*backend, spec.precision.compute);
  ProfiledBackend profile(*backend);
  std::vector<double> seconds;
  double flops = 0;
  int64_t tokens = 0, params = 0, buffers = 0;
  {
    Bench bench(spec, *backend);
    for (int i = 0; i < arguments.warmup; ++i) bench.step();
    for (int i = 0; i < arguments.steps; ++i) seconds.push_back(bench.step());
    flops = bench.flops_per_step();
    tokens = bench.tokens_per_step();
    params = bench.params();
    buffers = bench.buffer_bytes();
  }
  const double step = median(seconds);
  const int64_t planned = make_forecast(spec, 1).stages[0].memory.training_bytes();
  if (arguments.json) {
    const nlohmann::json document{{"step_seconds", seconds},           {"median_step_seconds", step},
                                  {"tokens_per_step", tokens},         {"flops_per_step", flops},
                                  {"gemm_peak_flops", peak},           {"buffer_bytes", buffers},
                                  {"planned_bytes", planned},          {"params", params},
                                  {"backend", backend->description()}, {"flops_def", "gemm_causal"}};
    std::puts(document.dump(2).c_str());
    return 0;
  }
  std::printf("model    %s\nparams   %lld\nbackend  %s\n", describe(spec.model_of_stage(0)).c_str(),
              static_cast<long long>(params), backend->description().c_str());
  std::printf("step     median %.1f ms, min %.1f, max %.1f of %d | %.3f steps/s | %.0f tok/s\n", step * 1e3,
              *std::min_element(seconds.begin(), seconds.end()) * 1e3,
              *std::max_element(seconds.begin(), seconds.end()) * 1e3, arguments.steps, 1 / step,
              static_cast<double>(tokens) / step);
  std::printf("compute  %.1f GFLOP/s (flops_def gemm_causal) | %.1f %% of the measured GEMM peak of %.1f GFLOP/s\n",
              flops / step / 1e9, 100 * flops / step / peak, peak / 1e9);
  std::printf("memory   %s of own buffers at the high-water mark | plan said %s (%+.1f %%)\n",
              format_bytes(buffers).c_str(), format_bytes(planned).c_str(),
              100.0 * static_cast<double>(buffers - planned) / static_cast<double>(planned));
  Bench profiled(spec, profile);
  for (int i = 0; i < arguments.warmup; ++i) profiled.step();
  profile.reset();
  for (int i = 0; i < arguments.steps; ++i) profiled.step();
  print_families(profile, arguments.steps, peak);
  return 0;
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bench", "measure this machine");
  command->require_subcommand(1);
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* step = command->add_subcommand("step", "one training step on random data, and where its time goes");
  step->add_option("CAMPAIGN", arguments->file, "campaign file whose first stage's model is timed")
      ->capture_default_str();
  step->add_option("-c,--config", arguments->more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false);
  step->add_option("-s,--set", arguments->assignments, "key=value, over everything else")->allow_extra_args(false);
  step->add_option("--device", arguments->device, "cpu or cuda");
  step->add_option("--steps", arguments->steps, "timed steps")->check(CLI::Range(1, 100000));
  step->add_option("--warmup", arguments->warmup, "steps before them")->check(CLI::Range(0, 1000));
  step->add_flag("--json", arguments->json, "machine-readable, on stdout");
  step->callback([arguments, &action] { action = [arguments] { return bench_step(*arguments); }; });
}

}  // namespace nexus
