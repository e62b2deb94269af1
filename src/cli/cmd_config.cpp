// nexus config: is a campaign file right, what does it resolve to, and which keys are there. Needs neither MPI nor
// data; where the data is there, `check` says how often it is read.
#include <cstdio>
#include <memory>

#include "campaign/data_review.h"
#include "cli/commands.h"
#include "cli/option_checks.h"
#include "config/cluster.h"
#include "config/config.h"
#include "core/log.h"
#include "core/units.h"
#include "model/model.h"
#include "model/workload.h"

namespace nexus {
namespace {

struct ConfigArguments {
  std::string file;
  std::vector<std::string> more_files, assignments;
  bool json = false, cluster = false, classes = false;
};

LoadedCampaign load(const ConfigArguments& arguments) {
  LoadedCampaign campaign = load_campaign(arguments.file, arguments.more_files, arguments.assignments);
  for (const std::string& text : campaign.warnings) warn("{}", text);
  return campaign;
}

// "239.5M to 439.6M" over the stages.
std::string parameter_range(const CampaignSpec& spec) {
  const auto count = [&](size_t stage) { return format_count(Model(spec.model_of_stage(stage)).table().count()); };
  const std::string first = count(0), last = count(spec.stages.size() - 1);
  return first == last ? first : first + " to " + last;
}

int check(const ConfigArguments& arguments) {
  const LoadedCampaign campaign = load(arguments);
  const CampaignSpec& spec = campaign.spec;
  int64_t tokens = 0, steps = 0;
  for (size_t i = 0; i < spec.stages.size(); ++i) {
    tokens += spec.stages[i].tokens;
    steps += spec.steps_of_stage(i);
  }
  fmt::print("ok: {} | arch {} params {} | stages {} {} {} steps {} | out {} | digest {}\n", spec.name, spec.model.arch,
             parameter_range(spec), spec.stages.size(), workload(spec.model.workload).unit(), format_count(tokens),
             steps, spec.out, campaign.digest);
  const DataReview review = review_data(spec);
  for (const std::string& line : review.lines) fmt::print("{}\n", line);
  for (const std::string& text : review.warnings) warn_text(text);
  return 0;
}

int show(const ConfigArguments& arguments) {
  const LoadedCampaign campaign = load(arguments);
  const std::string text = arguments.json ? show_as_json(campaign) + "\n" : show_with_sources(campaign);
  std::fputs(text.c_str(), stdout);
  return 0;
}

void add_file_options(CLI::App& command, ConfigArguments& arguments) {
  command.add_option("CAMPAIGN", arguments.file, "campaign file")->required()->transform(path_to_read());
  command.add_option("-c,--config", arguments.more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false)
      ->transform(path_to_read());
  command.add_option("-s,--set", arguments.assignments, "key=value, over everything else; stages.1.tokens=2M")
      ->allow_extra_args(false);
}

}  // namespace

void add_config_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<ConfigArguments>();
  CLI::App* command = app.add_subcommand("config", "check and show campaign files");
  command->require_subcommand(1);

  CLI::App* check_command = command->add_subcommand("check", "say ok, or file, line, key, reason and cure");
  add_file_options(*check_command, *arguments);
  check_command->callback([arguments, &action] { action = [arguments] { return check(*arguments); }; });

  CLI::App* show_command =
      command->add_subcommand("show", "the resolved configuration, with the source of every value");
  add_file_options(*show_command, *arguments);
  show_command->add_flag("--json", arguments->json, "machine-readable, on stdout");
  show_command->callback([arguments, &action] { action = [arguments] { return show(*arguments); }; });

  CLI::App* reference_command =
      command->add_subcommand("reference", "every key with its default (configs/reference.yaml)");
  reference_command->add_flag("--cluster", arguments->cluster,
                              "those of cluster files (configs/clusters/reference.yaml)");
  reference_command->add_flag("--classes", arguments->classes,
                              "what a change of each key in a begun run needs (Markdown)");
  reference_command->callback([arguments, &action] {
    action = [arguments] {
      std::fputs((arguments->classes   ? key_classes_markdown()
                  : arguments->cluster ? cluster_reference_yaml()
                                       : reference_yaml())
                     .c_str(),
                 stdout);
      return 0;
    };
  });
}

}  // namespace nexus
