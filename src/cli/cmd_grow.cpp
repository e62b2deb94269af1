// nexus grow: offline growth of one checkpoint, with the check on real data if a token file is given.
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "campaign/grow_stage.h"
#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/option_checks.h"
#include "cli/thread_check.h"
#include "config/config.h"
#include "core/files.h"
#include "core/log.h"
#include "core/units.h"
#include "model/architecture.h"
#include "model/workload.h"
#include "train/checkpoint_io.h"

namespace nexus {
namespace {

constexpr int64_t kCheckSamples = 4;

struct GrowArguments {
  std::string in, out, init, moments = "keep", check;
  std::vector<std::string> assignments;
  std::map<std::string, double> numbers;  // of policies
  double learning_rate = 1e-4;
  int64_t context = 512;
  bool not_lossless = false, allow_dead = false;
};

bool grows(const std::string& name) {
  const auto& all = all_architectures();
  return std::any_of(all.begin(), all.end(), [&](const Architecture* each) {
    const ModelKey* key = each->find_key(name);
    return key != nullptr && key->grows();
  });
}

GrowthOptions growth_options(const GrowArguments& arguments) {
  GrowthOptions options;
  if (!arguments.init.empty()) options.policy = &growth_policy(arguments.init);
  options.moments = moment_policy(arguments.moments);
  options.numbers = arguments.numbers;
  options.lossless = !arguments.not_lossless;
  options.allow_dead = arguments.allow_dead;
  for (const std::string& assignment : arguments.assignments) {
    const size_t equals = assignment.find('=');
    const std::string key = assignment.substr(0, equals);
    const std::string name = key.rfind("model.", 0) == 0 ? key.substr(6) : key;
    const auto extent = equals == std::string::npos ? std::nullopt : parse_count(assignment.substr(equals + 1));
    if (!grows(name) || !extent)
      throw Error(ErrorKind::kConfig, "'" + assignment + "' is no growth", "-s",
                  "write model.M=1664, model.A=..., model.n_qkv=...");
    options.widths[name] = *extent;
  }
  if (options.widths.empty())
    throw Error(ErrorKind::kConfig, "no width to grow", "command line", "add -s model.M=... or -s model.A=...");
  return options;
}

std::optional<GrowthBatch> check_batch(const GrowArguments& arguments, const TrainState& state) {
  if (arguments.check.empty()) return std::nullopt;
  const Workload& kind = workload(state.model.workload);
  const std::unique_ptr<const DataSet> set = kind.open(arguments.check, arguments.context, state.model);
  const Encoder trained_on{"", state.data.tokenizer, arguments.in};
  const std::vector<NamedDataSet> named{{"--check", set.get()}};
  kind.check_descriptions(named, trained_on, state.model);
  kind.check_contents(named, {content_of(*set)}, trained_on, state.model);
  const int64_t samples = std::min(kCheckSamples, set->count());
  GrowthBatch batch{arguments.context, {Model(state.model).batch_fields(arguments.context), samples}};
  for (int64_t s = 0; s < samples; ++s) set->fetch(s * set->count() / samples, batch.data.batch(), s);
  return batch;
}

void print_check(const GrowthCheck& check) {
  log("check | max_abs_dlogit {:.1e} relative {:.1e} dloss {:+.1e} | dead_new_params {} of {} unmoved {}",
      check.max_abs_dlogit, check.relative_dlogit, check.loss_after - check.loss_before, check.dead_params,
      check.new_params, check.unmoved_params);
}

int grow(const GrowArguments& arguments) {
  GrowthOptions options = growth_options(arguments);
  const Checkpoint checkpoint(arguments.in);
  checkpoint.require_finite();
  TrainState state = train_state_from_json(checkpoint.state(), arguments.in);
  require_open_masks(state, arguments.in);
  const auto fitting = growth_policies_for(architecture(state.model.arch).grown_part());
  if (arguments.init.empty() && !fitting.empty()) options.policy = fitting.front();
  if (const auto problem = width_problem(options, state.model))
    throw Error(ErrorKind::kConfig, problem->what, "-s model." + problem->width, problem->todo);
  if (const auto problem = policy_problem(options, state.model))
    throw Error(ErrorKind::kConfig, problem->what, "--init", problem->todo + " (--allow-dead, --not-lossless)");
  const std::unique_ptr<Backend> backend = make_cpu_backend(threads_per_rank());
  const DType dtype = checkpoint.info("master/" + Model(state.model).table()[0].name).dtype;
  ProcessGrid grid(make_self_communicator(), 1, 1);
  warn_of_threads(grid.world(), threads_per_rank());
  Trained before(state.model, *backend, dtype);
  load_training(checkpoint, before.params);
  before.params.set_norm_scales(state.norm_scales);
  GrowthOutcome outcome =
      grow_trained(grid, before, options, state.seed, check_batch(arguments, state), arguments.learning_rate, state);
  if (outcome.check) {
    print_check(*outcome.check);
    require_sound_growth(*outcome.check, options, arguments.in);
  } else {
    warn("the growth was not checked on data; --check PREFIX names the data to do so");
  }
  state.inherited_tokens = state.total_tokens();
  state.inherited_flops = state.total_flops();
  state.stages = {{"grown"}};
  state.stage_numerics = {{}};
  state.stage_index = state.step = 0;
  const RunFolder out{arguments.out};
  make_folders(out.checkpoints());
  const SaveResult saved = save_training(grid, out, checkpoint.id().run_id + "-grown", outcome.grown->params, state);
  log("grown | params {} to {} | {} | path {}", format_count(outcome.params_before), format_count(outcome.params_after),
      describe(state.model), saved.path);
  return 0;
}

}  // namespace

void add_grow_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<GrowArguments>();
  CLI::App* command = app.add_subcommand("grow", "grow one checkpoint offline; the result serves as init_from");
  command->add_option("IN", arguments->in, "checkpoint folder")->required()->transform(path_to_read());
  command->add_option("OUT", arguments->out, "folder to hold checkpoints/grown/0000000")
      ->required()
      ->transform(path_for_campaigns());
  command->add_option("-s,--set", arguments->assignments, "new widths: model.M=1664, model.A=2176, model.n_qkv=...")
      ->allow_extra_args(false);
  command->add_option("--init", arguments->init, describe_growth_policies());
  command->add_option("--optimizer", arguments->moments, "keep, keep_v or reset");
  for (const GrowthKey& key : growth_keys(all_growth_policies())) {
    std::string option = key.name;
    std::replace(option.begin(), option.end(), '_', '-');
    command
        ->add_option_function<double>(
            "--" + option, [arguments, name = key.name](double value) { arguments->numbers[name] = value; },
            key.comment)
        ->check(number_above(0, key.most));
  }
  command->add_option("--check", arguments->check, "token file (prefix) to prove the growth on")
      ->transform(path_to_read());
  command->add_option("--context", arguments->context, "tokens per sequence of the check")
      ->check(whole_number(1, 1 << 20));
  command->add_option("--lr", arguments->learning_rate, "learning rate of the check's two updates")
      ->check(number_above(0, 1000));
  command->add_flag("--not-lossless", arguments->not_lossless, "accept a growth that changes the function");
  command->add_flag("--allow-dead", arguments->allow_dead, "accept new blocks that can never move");
  command->callback([arguments, &action] { action = [arguments] { return grow(*arguments); }; });
}

}  // namespace nexus
