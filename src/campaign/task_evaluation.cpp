#include "campaign/task_evaluation.h"

#include "core/error.h"
#include "tasks/result_folder.h"

namespace nexus {

TaskEvaluation::TaskEvaluation(const CampaignSpec& spec, const std::vector<TaskSpec>& tasks, Communicator& world)
    : spec_(spec) {
  if (tasks.empty()) return;
  world.try_together("reading the tasks", [&] {
    tokenizer_.emplace(spec.tokenizer);
    const int64_t vocab = spec.model.count("V");
    if (tokenizer_->vocab_size() > vocab)
      throw Error(ErrorKind::kConfig,
                  fmt::format("the tokenizer has {} pieces, the model {}", tokenizer_->vocab_size(), vocab),
                  spec.tokenizer, "name the model's own with tokenizer.path");
    const TaskSources sources{*tokenizer_, {spec.data.context, true}, spec.eval.tasks_data, spec.data.valid, vocab};
    for (const TaskSpec& task : tasks) tasks_.push_back(make_ready(task, sources, spec.eval.tasks_limit));
  });
}

std::optional<std::vector<Figure>> TaskEvaluation::run(const EvalContext& context, const TrainState& state,
                                                       const RunFolder& folder, const std::string& run_id,
                                                       const std::string& version) const {
  ResultFolder results(
      folder.task_results(state.stage(), state.step),
      {version, folder.checkpoint(state.stage(), state.step), run_id, state.stage(), state.step, tokenizer_->digest(),
       context.context, tokenizer_->bos_id() >= 0, spec_.precision.compute, spec_.eval.tasks_limit});
  std::vector<Figure> figures;
  for (const std::unique_ptr<ReadyTask>& task : tasks_) {
    const std::string& name = task->spec().name;
    const ScoringContext scoring{
        context.backend, context.grid, context.model, context.params, context.micro * context.context, name,
        &context.arena};
    const std::optional<TaskResult> result = task->run(scoring, context.must_stop);
    if (!result) return std::nullopt;
    context.grid.world().try_on_rank_0("writing the results of task " + name, [&] { results.add(*task, *result); });
    figures.push_back(result->figures.front());
    figures.back().name = name + "." + figures.back().name;
  }
  return figures;
}

}  // namespace nexus
