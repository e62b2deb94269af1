// The `nexus` program: reads the command line, runs one command, turns errors into one last line and an exit code.
#include <cstdio>
#include <string>
#include <system_error>

#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "core/error.h"
#include "core/standard_streams.h"

namespace {

int run_command(int argc, char** argv) {
  CLI::App app{"nexus trains Nexusformer language models in growing stages"};
  app.require_subcommand(0, 1);
  bool show_version = false;
  app.add_flag("--version", show_version, "build facts");
  nexus::Action action;
  nexus::add_train_command(app, action);
  nexus::add_grow_command(app, action);
  nexus::add_plan_command(app, action);
  nexus::add_config_command(app, action);
  nexus::add_data_command(app, action);
  nexus::add_ckpt_command(app, action);
  nexus::add_report_command(app, action);
  nexus::add_slurm_command(app, action);
  nexus::add_bench_command(app, action);
  nexus::add_doctor_command(app, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    nexus::print_error(std::string(error.what()) + "; command line; see nexus --help", 0);
    return nexus::to_int(nexus::ExitCode::kConfig);
  }
  try {
    if (show_version) {
      std::fputs(nexus::build_facts().c_str(), stdout);
      return 0;
    }
    if (!action) {
      std::fputs(app.help().c_str(), stdout);
      return nexus::to_int(nexus::ExitCode::kConfig);
    }
    return action();
  } catch (const nexus::Error& error) {
    nexus::print_error(error.what(), 0);
    return nexus::to_int(nexus::exit_code(error.kind()));
  } catch (const std::exception& error) {
    const bool of_a_file = dynamic_cast<const std::system_error*>(&error) != nullptr;
    if (of_a_file && !nexus::standard_output_trouble().empty()) return 0;  // of a print: main says so
    nexus::print_error(std::string(error.what()) + "; ; this is a bug in nexus: please report it", 0);
    return nexus::to_int(nexus::ExitCode::kBug);
  }
}

}  // namespace

int main(int argc, char** argv) {
  nexus::secure_standard_streams();
  const int code = run_command(argc, argv);
  const std::string trouble = nexus::standard_output_trouble();
  if (code != 0 || trouble.empty()) return code;
  nexus::print_error("what was printed is not all written: " + trouble +
                         "; standard output; what the command has written to files is whole: print to another place",
                     0);
  return nexus::to_int(nexus::ExitCode::kTransient);
}
