// nexus bench step: speed of a training step on random data, against what this machine does at best.
#include <cstdio>
#include <memory>

#include "cli/bench_report.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/option_checks.h"
#include "config/config.h"
#include "core/files.h"
#include "core/json_text.h"

namespace nexus {
namespace {

struct BenchArguments {
  std::string file = "configs/bench/cpu-4.7m.yaml", device = "cpu";
  std::vector<std::string> more_files, assignments;
  std::string out;
  std::vector<int64_t> micro;
  int steps = 10, warmup = 2;
  bool no_families = false, json = false;
};

// This rank's device and its place in the grid. The grid goes first: its communicators may use the device.
struct Machine {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<ProcessGrid> grid;
};

Machine make_machine(const BenchArguments& arguments, const CampaignSpec& spec, std::unique_ptr<Communicator> world) {
  Machine machine;
  Device device = open_device(arguments.device, spec.precision.deterministic, std::move(world));
  machine.backend = std::move(device.backend);
  machine.grid = std::make_unique<ProcessGrid>(std::move(device.world), spec.parallel.dp, spec.parallel.tp);
  return machine;
}

// All ranks measure at once, as they will compute; the slowest speaks for all.
Ceilings measure_ceilings(Machine& machine, DType compute) {
  Communicator& world = machine.grid->world();
  world.barrier();
  Ceilings ceilings = measure_ceilings(*machine.backend, compute);
  for (double* rate : {&ceilings.gemm_flops_per_second, &ceilings.copy_bytes_per_second}) *rate = -world.max(-*rate);
  return ceilings;
}

StepRun run_size(const CampaignSpec& spec, Machine& machine, const BenchArguments& arguments) {
  const std::unique_ptr<StepBench> bench = StepBench::make(spec, *machine.backend, *machine.grid);
  return time_steps(spec, *bench, arguments.warmup, arguments.steps);
}

// One of several sizes: it may not fit, the others go on.
StepRun try_size(const CampaignSpec& spec, Machine& machine, const BenchArguments& arguments) {
  bool prepared = false;
  StepRun refused;
  refused.micro = spec.batch.micro;
  try {
    const std::unique_ptr<StepBench> bench = StepBench::make(spec, *machine.backend, *machine.grid);
    prepared = true;
    return time_steps(spec, *bench, arguments.warmup, arguments.steps);
  } catch (const Error& error) {
    // Inside a step the other ranks may know of nothing and wait: that ends the job.
    if (error.kind() != ErrorKind::kConfig || (prepared && machine.grid->world().size() > 1)) throw;
    refused.refusal = error.fact();
  }
  return refused;
}

std::vector<StepRun> run_sizes(const CampaignSpec& spec, Machine& machine, const BenchArguments& arguments) {
  if (arguments.micro.size() < 2) return {run_size(spec, machine, arguments)};
  std::vector<StepRun> runs;
  CampaignSpec sized = spec;
  for (const int64_t micro : arguments.micro) {
    sized.batch.micro = micro;
    runs.push_back(try_size(sized, machine, arguments));
  }
  return runs;
}

int bench_step(const BenchArguments& arguments, std::unique_ptr<Communicator> world) {
  BenchReport report;
  report.spec = load_campaign(arguments.file, arguments.more_files, arguments.assignments, std::nullopt).spec;
  CampaignSpec& spec = report.spec;
  if (arguments.micro.size() == 1) spec.batch.micro = arguments.micro[0];
  spec.check_tensor_parallel(spec.parallel.tp);
  Machine machine = make_machine(arguments, spec, std::move(world));
  report.backend = machine.backend->description();
  report.dp = machine.grid->dp_size();
  report.tp = machine.grid->tp_size();
  report.ceilings = measure_ceilings(machine, spec.precision.compute);
  report.runs = run_sizes(spec, machine, arguments);
  report.chosen = fastest(report.runs);
  if (!report.chosen)
    throw Error(ErrorKind::kConfig, "no size of --micro runs: " + report.runs.back().refusal, "--micro",
                "add a smaller one that divides batch.global_tokens");
  spec.batch.micro = report.runs[*report.chosen].micro;
  if (!arguments.no_families)
    report.profile = profile_steps(spec, *machine.backend, *machine.grid, arguments.warmup, arguments.steps);
  if (machine.grid->rank() != 0) return 0;
  const std::string document = json_text(bench_json(report), 2) + "\n";
  if (!arguments.out.empty()) write_file_durably(arguments.out, document);
  const std::string text = arguments.json ? document : bench_text(report);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

void add_bench_command(CLI::App& app, Action& action) {
  CLI::App* command = app.add_subcommand("bench", "measure this machine");
  command->require_subcommand(1);
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* step = command->add_subcommand("step", "training steps on random data, and where their time goes");
  step->add_option("CAMPAIGN", arguments->file, "campaign file whose first stage's model is timed")
      ->capture_default_str();
  step->add_option("-c,--config", arguments->more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false)
      ->transform(path_to_read());
  step->add_option("-s,--set", arguments->assignments, "key=value, over everything else")->allow_extra_args(false);
  step->add_option("--device", arguments->device, "cpu or cuda");
  step->add_option("--micro", arguments->micro, "sizes of micro-batch to compare, e.g. 4,8,16 (default: batch.micro)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(whole_number(1, 1 << 20));
  step->add_option("--steps", arguments->steps, "timed steps")->check(whole_number(1, 100000));
  step->add_option("--warmup", arguments->warmup, "steps before them")->check(whole_number(0, 1000));
  step->add_flag("--no-families", arguments->no_families, "time whole steps only");
  step->add_flag("--json", arguments->json, "machine-readable, on stdout");
  step->add_option("--out", arguments->out, "file for the machine-readable figures, besides")
      ->transform(path_of_shell());
  step->callback([arguments, &action] {
    action = [arguments] {
      return run_under_mpi(
          [&](std::unique_ptr<Communicator> world) { return bench_step(*arguments, std::move(world)); });
    };
  });
}

}  // namespace nexus
