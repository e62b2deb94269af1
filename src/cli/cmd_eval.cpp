// nexus eval: zero-shot tasks, which are data, on a checkpoint (docs/evaluation.md).
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/option_checks.h"
#include "cli/task_files.h"
#include "cli/text_checkpoint.h"
#include "core/files.h"
#include "core/log.h"
#include "model/workload.h"
#include "params/replication.h"
#include "report/table.h"
#include "tasks/result_folder.h"

namespace nexus {
namespace {

struct EvalArguments {
  std::string checkpoint, data = ".", out, tokenizer, device = "cpu";
  std::vector<std::string> tasks;
  int64_t context = 0, limit = 0, stride = 0, batch_tokens = 4096;
  int dp = 0, tp = 1;
  std::optional<int64_t> shots;
  uint64_t seed = 0;
  bool no_bos = false;
};

std::vector<TaskSpec> tasks_of(const EvalArguments& arguments) {
  std::vector<TaskSpec> tasks = find_tasks(arguments.tasks, "--tasks");
  for (TaskSpec& task : tasks) {
    if (arguments.shots) task.shots.count = *arguments.shots;
    task.shots.seed = arguments.seed;
    if (arguments.stride > 0) task.text.stride = arguments.stride;
  }
  return tasks;
}

// How tasks are to be run on a checkpoint.
struct EvalPlan : TextCheckpoint {
  Tokenizer tokenizer;
  EncodeOptions encoding;
};

EvalPlan make_plan(const EvalArguments& arguments) {
  TextCheckpoint checkpoint = open_text_checkpoint(arguments.checkpoint);
  Tokenizer tokenizer = open_tokenizer(checkpoint, arguments.tokenizer);
  const int64_t context = context_length(checkpoint, arguments.context);
  return {std::move(checkpoint), std::move(tokenizer), {context, !arguments.no_bos}};
}

ResultFacts facts_of(const EvalArguments& arguments, const EvalPlan& plan) {
  const CheckpointId& id = plan.checkpoint.id();
  return {version(),
          arguments.checkpoint,
          id.run_id,
          id.stage,
          id.step,
          plan.tokenizer.digest(),
          plan.encoding.context,
          plan.encoding.bos && plan.tokenizer.bos_id() >= 0,
          plan.compute,
          arguments.limit};
}

int eval(const EvalArguments& arguments, std::unique_ptr<Communicator> world) {
  const std::vector<TaskSpec> specs = tasks_of(arguments);
  const EvalPlan plan = make_plan(arguments);
  const TaskSources sources{plan.tokenizer, plan.encoding, arguments.data, plan.valid, plan.state.model.count("V")};
  std::vector<std::unique_ptr<ReadyTask>> tasks;  // all before the first is run: a mistake in the last costs no hours
  for (const TaskSpec& spec : specs) tasks.push_back(make_ready(spec, sources, arguments.limit));
  Device device = open_device(arguments.device, plan.deterministic, std::move(world));
  ProcessGrid grid(std::move(device.world), arguments.dp, arguments.tp);
  Model model(plan.state.model, sharding_of(grid, /*zero=*/false, /*sequence=*/false));
  ParamStore params(*device.backend, model.table(), plan.compute, ParamStore::Use::kInference);
  load_weights(plan, params);
  const bool speaks = grid.rank() == 0, writes = speaks && !arguments.out.empty();
  ResultFolder folder(arguments.out, facts_of(arguments, plan));
  Table table{"Zero-shot tasks: " + arguments.checkpoint,
              "± is the standard error over items.",
              {{"task", false}, {"metric", false}, {"value ± se"}, {"items"}},
              {}};
  for (const std::unique_ptr<ReadyTask>& task : tasks) {
    const std::string& name = task->spec().name;
    const TaskResult result = *task->run({*device.backend, grid, model, params, arguments.batch_tokens, name});
    for (const Figure& figure : result.figures)
      table.rows.push_back(
          {name, figure.name, format_with_error(figure.value, figure.se), std::to_string(task->items())});
    if (writes) folder.add(*task, result);
  }
  if (speaks) std::fputs(to_markdown(table).c_str(), stdout);
  return 0;
}

}  // namespace

void add_eval_command(CLI::App& app, Action& action) {
  auto arguments = std::make_shared<EvalArguments>();
  CLI::App* command = app.add_subcommand("eval", "zero-shot tasks on a checkpoint");
  command->add_option("CKPT", arguments->checkpoint, "checkpoint folder")->required()->transform(path_to_read());
  command->add_option("--tasks", arguments->tasks, "names of tasks or task files, with commas")
      ->required()
      ->delimiter(',');
  command->add_option("--data", arguments->data, "folder with the tasks' files; preset: this one")
      ->transform(path_to_read());
  command->add_option("--out", arguments->out, "folder for results.json and TASK.jsonl")->transform(path_of_shell());
  command->add_option("--tokenizer", arguments->tokenizer, "SentencePiece model or tokenizer.json; preset: the run's")
      ->transform(path_to_read());
  command->add_option("--context", arguments->context, "tokens that the model reads; preset: as trained")
      ->check(whole_number(1, 1 << 20));
  command->add_option("--limit", arguments->limit, "only the first items of each task")->check(whole_number(1));
  command->add_option("--shots", arguments->shots, "solved examples before each item; preset: the task's own")
      ->check(whole_number(0, 1000));
  command->add_option("--seed", arguments->seed, "of the choice of examples")->check(whole_number(0));
  command
      ->add_option("--stride", arguments->stride,
                   "of perplexities: tokens from window to window; preset: the task's own")
      ->check(whole_number(1, 1 << 20));
  command->add_option("--batch-tokens", arguments->batch_tokens, "positions of a pass on one rank")
      ->check(whole_number(1, 1 << 24));
  command->add_option("--dp", arguments->dp, "ranks that share the items; preset: ranks / tp")
      ->check(whole_number(1, 1 << 20));
  command->add_option("--tp", arguments->tp, "ranks that share the model")->check(whole_number(1, 1 << 10));
  command->add_flag("--no-bos", arguments->no_bos, "texts do not begin with BOS");
  command->add_option("--device", arguments->device, "cpu or cuda");
  command->callback([arguments, &action] {
    action = [arguments] {
      return run_under_mpi([&](std::unique_ptr<Communicator> world) { return eval(*arguments, std::move(world)); });
    };
  });
}

}  // namespace nexus
