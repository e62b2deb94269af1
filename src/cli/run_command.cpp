#include "cli/run_command.h"

#include <cstdio>
#include <string>
#include <system_error>

#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "core/error.h"
#include "core/standard_streams.h"

namespace nexus {

int run_command(int argc, char** argv) {
  CLI::App app{"nexus trains Nexusformer language models in growing stages"};
  app.require_subcommand(0, 1);
  bool show_version = false;
  app.add_flag("--version", show_version, "build facts");
  Action action;
  add_train_command(app, action);
  add_grow_command(app, action);
  add_plan_command(app, action);
  add_config_command(app, action);
  add_data_command(app, action);
  add_ckpt_command(app, action);
  add_report_command(app, action);
  add_slurm_command(app, action);
  add_study_command(app, action);
  add_eval_command(app, action);
  add_sample_command(app, action);
  add_metrics_command(app, action);
  add_top_command(app, action);
  add_bench_command(app, action);
  add_doctor_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    print_error(std::string(error.what()) + "; command line; see nexus --help", 0);
    return to_int(ExitCode::kConfig);
  }
  try {
    if (show_version) {
      std::fputs(build_facts().c_str(), stdout);
      return 0;
    }
    if (!action) {
      std::fputs(app.help().c_str(), stdout);
      return to_int(ExitCode::kConfig);
    }
    return action();
  } catch (const Error& error) {
    print_error(error.what(), 0);
    return to_int(exit_code(error.kind()));
  } catch (const std::exception& error) {
    const bool of_a_file = dynamic_cast<const std::system_error*>(&error) != nullptr;
    if (of_a_file && !standard_output_trouble().empty()) return 0;  // of a print: main says so
    print_error(std::string(error.what()) + "; ; this is a bug in nexus: please report it", 0);
    return to_int(ExitCode::kBug);
  }
}

}  // namespace nexus
