// nexus plan: what a campaign will cost, on a cluster too; needs neither MPI nor data
// (where the data is there, it says how often it is read).
#include <cstdio>

#include "campaign/data_review.h"
#include "cli/commands.h"
#include "cli/option_checks.h"
#include "config/cluster.h"
#include "config/config.h"
#include "core/json_text.h"
#include "core/log.h"
#include "core/units.h"
#include "plan/cluster_plan.h"
#include "plan/plan.h"
#include "spec/rules.h"

namespace nexus {
namespace {

struct PlanArguments {
  std::string file, device, cluster;
  std::vector<std::string> more_files, assignments, rates;
  std::optional<double> mfu;
  std::string save_stop;
  int ranks = 0;
  bool json = false;
};

MeasuredSpeed speed_of(const PlanArguments& arguments, const std::string& unit) {
  MeasuredSpeed speed;
  speed.mfu = arguments.mfu;
  for (const std::string& rate : arguments.rates) {
    const auto count = parse_count(rate);
    if (!count || *count == 0)
      throw Error(ErrorKind::kConfig, "'" + rate + "' is no number of " + unit + " per second", "--tok-per-s",
                  "write for example 850K or 1200000");
    speed.tokens_per_second.push_back(static_cast<double>(*count));
  }
  if (!arguments.save_stop.empty()) speed.save_stop = parse_duration(arguments.save_stop);
  return speed;
}

int plan(const PlanArguments& arguments) {
  const LoadedCampaign loaded =
      load_campaign(arguments.file, arguments.more_files, arguments.assignments, std::nullopt);
  for (const std::string& text : loaded.warnings) warn("{}", text);
  const bool on_cluster = !arguments.cluster.empty();
  const ClusterSpec cluster = on_cluster ? load_cluster(arguments.cluster) : ClusterSpec{};
  const int ranks = on_cluster && arguments.ranks == 0 ? ranks_of_job(loaded.spec, cluster) : arguments.ranks;
  const std::string device = arguments.device.empty() ? (cluster.gpus_per_node > 0 ? "cuda" : "cpu") : arguments.device;
  const Forecast forecast = make_forecast(loaded.spec, ranks, planned_device(device));
  nlohmann::json document = forecast_json(forecast);
  std::string text = forecast_text(forecast);
  if (on_cluster) {
    const ClusterPlan plan = plan_on_cluster(loaded.spec, cluster, forecast, speed_of(arguments, forecast.words.unit));
    for (const std::string& warning : plan.warnings) warn("{}", warning);
    document["cluster"] = cluster_plan_json(plan);
    text += cluster_plan_text(plan);
  }
  const DataReview review = review_data(loaded.spec);
  for (const std::string& warning : review.warnings) warn_text(warning);
  for (const DatasetUse& use : review.datasets)
    document["data"].push_back({{"path", use.path}, {"tokens", use.units}, {"epochs", use.passes}});
  for (const std::string& line : review.lines) text += line + "\n";
  std::fputs((arguments.json ? json_text(document, 2) + "\n" : text).c_str(), stdout);
  return 0;
}

void add_cluster_options(CLI::App& command, PlanArguments& arguments) {
  CLI::Option* cluster =
      command
          .add_option("--cluster", arguments.cluster,
                      "cluster file: plan for slurm.nodes of its nodes; jobs, hours, cost, saves, failures")
          ->transform(path_of_shell());
  command
      .add_option("--tok-per-s", arguments.rates,
                  "tokens per second of the whole job: one, or one for each stage (a,b)")
      ->delimiter(',')
      ->needs(cluster);
  command.add_option("--mfu", arguments.mfu, "or the share of account.peak_tflops that is reached")
      ->needs(cluster)
      ->check(number_above(0, 1));
  command.add_option("--save-stop", arguments.save_stop, "how long an asynchronous save stops training (3s)")
      ->needs(cluster)
      ->check(duration());
}

}  // namespace

void add_plan_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<PlanArguments>();
  CLI::App* command =
      app.add_subcommand("plan", "parameters, FLOPs, steps and memory of a campaign; nothing is trained");
  command->add_option("CAMPAIGN", arguments->file, "campaign file")->required()->transform(path_to_read());
  command->add_option("-c,--config", arguments->more_files, "more configuration, merged over the campaign file")
      ->allow_extra_args(false)
      ->transform(path_to_read());
  command->add_option("-s,--set", arguments->assignments, "key=value, over everything else")->allow_extra_args(false);
  command
      ->add_option("--ranks", arguments->ranks,
                   "plan for this many ranks (default: parallel.dp, or 1; with --cluster: all of slurm.nodes)")
      ->check(whole_number(1, 1 << 20));
  command->add_option(
      "--device", arguments->device,
      "cpu or cuda: a GPU needs memory of its own beside the buffers (default: cpu, or what the cluster has)");
  add_cluster_options(*command, *arguments);
  command->add_flag("--json", arguments->json, "machine-readable, on stdout");
  command->callback([arguments, &action] { action = [arguments] { return plan(*arguments); }; });
}

}  // namespace nexus
