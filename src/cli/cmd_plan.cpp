// nexus plan: what a campaign will cost; needs neither MPI nor data.
#include <cstdio>

#include "cli/commands.h"
#include "config/config.h"
#include "core/log.h"
#include "plan/plan.h"

namespace nexus {
namespace {

struct PlanArguments {
  std::string file;
  std::vector<std::string> more_files, assignments;
  std::string device = "cpu";
  int ranks = 0;
  bool json = false;
};

int plan(const PlanArguments& arguments) {
  const LoadedCampaign loaded =
      load_campaign(arguments.file, arguments.more_files, arguments.assignments, std::nullopt);
  for (const std::string& text : loaded.warnings) warn("{}", text);
  const Forecast forecast = make_forecast(loaded.spec, arguments.ranks, planned_device(arguments.device));
  const std::string text = arguments.json ? forecast_json(forecast).dump(2) + "\n" : forecast_text(forecast);
  std::fputs(text.c_str(), stdout);
  return 0;
}

}  // namespace

void add_plan_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command =
      app.add_subcommand("plan", "parameters, FLOPs, steps and memory of a campaign; nothing is trained");
  command->add_option("CAMPAIGN", arguments->file, "campaign file")->required();
  command->add_option("-c,--config", arguments->more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false);
  command->add_option("-s,--set", arguments->assignments, "key=value, over everything else")->allow_extra_args(false);
  command->add_option("--ranks", arguments->ranks, "plan for this many ranks (default: parallel.dp, or 1)");
  command->add_option("--device", arguments->device, "cpu or cuda: a GPU needs memory of its own beside the buffers");
  command->add_flag("--json", arguments->json, "machine-readable, on stdout");
  command->callback([arguments, &action] { action = [arguments] { return plan(*arguments); }; });
}

}  // namespace nexus
