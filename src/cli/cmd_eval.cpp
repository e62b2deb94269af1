// nexus eval: zero-shot tasks, which are data, on a checkpoint (docs/evaluation.md).
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/build_facts.h"
#include "cli/commands.h"
#include "cli/launch.h"
#include "cli/option_checks.h"
#include "cli/text_checkpoint.h"
#include "config/task.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/log.h"
#include "model/workload.h"
#include "params/replication.h"
#include "report/table.h"
#include "system/process.h"
#include "tasks/ready_task.h"

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

// Where the task files lie that come with nexus: beside an installed program, or in the source tree.
std::string tasks_folder() {
  const std::filesystem::path beside = std::filesystem::path(own_program()).parent_path() / NEXUS_INSTALLED_TASKS;
  std::error_code ignored;
  return std::filesystem::is_directory(beside, ignored) ? beside.lexically_normal().string() : NEXUS_TASKS_DIR;
}

// A task file, or the name of one that comes with nexus.
TaskSpec find_task(const std::string& name) {
  if (name.ends_with(".yaml") || name.find('/') != std::string::npos) return load_task(name);
  const std::string folder = tasks_folder(), file = folder + "/" + name + ".yaml";
  if (path_exists(file)) return load_task(file);
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) names.push_back(entry.path().stem());
  std::ranges::sort(names);
  const std::string near = nearest(name, names);
  throw Error(ErrorKind::kConfig, fmt::format("there is no task '{}'", name), "--tasks",
              near.empty() ? fmt::format("name a task file (TASK.yaml), or one of {}", fmt::join(names, ", "))
                           : "did you mean " + near + "?");
}

std::vector<TaskSpec> find_tasks(const EvalArguments& arguments) {
  std::vector<TaskSpec> tasks;
  for (const std::string& name : arguments.tasks) {
    tasks.push_back(find_task(name));
    if (arguments.shots) tasks.back().shots.count = *arguments.shots;
    tasks.back().shots.seed = arguments.seed;
    if (arguments.stride > 0) tasks.back().text.stride = arguments.stride;
    for (size_t i = 0; i + 1 < tasks.size(); ++i)
      if (tasks[i].name == tasks.back().name)
        throw Error(ErrorKind::kConfig, fmt::format("two tasks are called {}", tasks[i].name), "--tasks",
                    "name each once");
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

void write_lines(const std::string& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_file_durably(path, text);
}

// What was run, and its tasks so far.
nlohmann::ordered_json results_json(const EvalArguments& arguments, const EvalPlan& plan,
                                    const nlohmann::ordered_json& tasks) {
  return {{"version", version()},
          {"checkpoint", arguments.checkpoint},
          {"run_id", plan.checkpoint.id().run_id},
          {"stage", plan.checkpoint.id().stage},
          {"step", plan.checkpoint.id().step},
          {"tokenizer", plan.tokenizer.digest()},
          {"context", plan.encoding.context},
          {"bos", plan.encoding.bos && plan.tokenizer.bos_id() >= 0},
          {"compute", name_of(plan.compute)},
          {"limit", arguments.limit},
          {"tasks", tasks}};
}

int eval(const EvalArguments& arguments, std::unique_ptr<Communicator> world) {
  const std::vector<TaskSpec> specs = find_tasks(arguments);
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
  if (writes) make_folders(arguments.out);
  Table table{"Zero-shot tasks: " + arguments.checkpoint,
              "± is the standard error over items.",
              {{"task", false}, {"metric", false}, {"value ± se"}, {"items"}},
              {}};
  nlohmann::ordered_json done = nlohmann::ordered_json::array();
  for (const std::unique_ptr<ReadyTask>& task : tasks) {
    const std::string& name = task->spec().name;
    const TaskResult result = *task->run({*device.backend, grid, model, params, arguments.batch_tokens, name});
    done.push_back(result_json(*task, result));
    for (const Figure& figure : result.figures)
      table.rows.push_back(
          {name, figure.name, format_with_error(figure.value, figure.se), std::to_string(task->items())});
    if (!writes) continue;
    write_lines(arguments.out + "/" + name + ".jsonl", result.lines);
    write_lines(arguments.out + "/results.json", {json_text(results_json(arguments, plan, done), 1)});
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
  command->add_option("--tokenizer", arguments->tokenizer, "SentencePiece model; preset: the run's")
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
