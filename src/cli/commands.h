// The subcommands of `nexus`. Each `add_*` function declares one command's options on `app`; when the command is chosen
// it stores what to do in `action`, and run_command runs it. The action returns the exit code; errors are thrown
// (core/error.h).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace nexus {

using Action = std::function<int()>;

void add_train_command(CLI::App& app, Action& action);
void add_grow_command(CLI::App& app, Action& action);
void add_plan_command(CLI::App& app, Action& action);
void add_config_command(CLI::App& app, Action& action);
void add_data_command(CLI::App& app, Action& action);
void add_ckpt_command(CLI::App& app, Action& action);
void add_report_command(CLI::App& app, Action& action);
void add_slurm_command(CLI::App& app, Action& action);
void add_study_command(CLI::App& app, Action& action);
void add_eval_command(CLI::App& app, Action& action);
void add_sample_command(CLI::App& app, Action& action);
void add_metrics_command(CLI::App& app, Action& action);
void add_top_command(CLI::App& app, Action& action);
void add_bench_command(CLI::App& app, Action& action);
void add_doctor_command(CLI::App& app, Action& action);

}  // namespace nexus
