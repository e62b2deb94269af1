#include "config/schema.h"

#include <fmt/format.h>

#include "accounting/flops.h"
#include "config/schema_rows.h"
#include "train/evaluation.h"

namespace nexus {
namespace {

constexpr int64_t kMaxMicro = 1 << 16, kMaxRanks = 1 << 20, kMaxKept = 1'000'000, kMaxSteps = 1'000'000'000;
constexpr int64_t kMaxGlobalTokens = int64_t{1} << 40, kMaxEvalTokens = 1'000'000'000'000'000;

using CampaignRows = Table<CampaignSpec>;

void add_run(CampaignRows& t) {
  add(t, "name", "", TextType{}, at(&CampaignSpec::name), kCosmetic, "letters, digits, dots, dashes and underscores")
      .example = "reference";
  add(t, "out", "runs/%name", PathType{}, at(&CampaignSpec::out), kPlacement, "run folder; %name is the name");
  add(t, "seed", "1234", CountType{0, INT64_MAX}, at(&CampaignSpec::seed), kFixed,
      "seed of the initial weights and of the sample order");
  add(t, "init_from", "null", PathType{true}, at(&CampaignSpec::init_from), kFixed,
      "checkpoint of another run, or the folder of one that is done; its stages become this run's frozen past");
}

// A list of maps that have a table of their own. Its class is that of its content as a whole.
void add_list(CampaignRows& t, const std::string& key, ListKey list, KeyClass key_class) {
  Field<CampaignSpec>& field = t.emplace_back(key, key_class);
  field.list = list;
  field.optional = true;
}

void add_data(CampaignRows& t) {
  add(t, "tokenizer.path", "null", PathType{true}, at(&CampaignSpec::tokenizer), kData,
      "SentencePiece model or tokenizer.json; null: V stands alone");
  add_list(t, "data.train", ListKey::kDatasets, kData);
  add(t, "data.valid", "null", PathType{true}, at(&CampaignSpec::data, &DataOptions::valid), kData,
      "held-out token file; null: no evaluation");
  add(t, "data.context", "1024", CountType{1, kMaxWidth}, at(&CampaignSpec::data, &DataOptions::context), kFixed,
      "tokens per sample");
  add(t, "batch.global_tokens", "1Mi", CountType{1, kMaxGlobalTokens},
      at(&CampaignSpec::batch, &BatchSpec::global_tokens), kFixed,
      "tokens of a step over all ranks; a multiple of context * micro * dp");
  add(t, "batch.micro", "16", CountType{1, kMaxMicro}, at(&CampaignSpec::batch, &BatchSpec::micro), kPlacement,
      "samples per rank and pass; a matter of memory");
}

// One key for two members.
void add_betas(CampaignRows& t) {
  Field<CampaignSpec>& field = t.emplace_back("optimizer.betas", kSchedule);
  field.preset = "[0.9, 0.95]";
  field.comment = "decay rates of the two moments";
  field.set = [](CampaignSpec& spec, const Node& node, const std::string& key) {
    if (node.kind != Node::Kind::kList || node.children.size() != 2)
      refuse(node.location, key, key + " is no list of two numbers", "write two numbers such as [0.9, 0.95]");
    const RealType beta{0, 0.999999999};
    spec.optimizer.beta1 = beta.parse(node.children[0], key);
    spec.optimizer.beta2 = beta.parse(node.children[1], key);
  };
  field.get = [](const CampaignSpec& spec) -> std::optional<std::string> {
    return fmt::format("[{}, {}]", real_text(spec.optimizer.beta1), real_text(spec.optimizer.beta2));
  };
}

// {ROLE: FACTOR}; which roles there are is the model's matter (spec/rules.cpp).
struct FactorsType {
  using Value = std::map<std::string, double>;
  Value parse(const Node& node, const std::string& key) const {
    if (node.kind == Node::Kind::kNull) return {};
    if (node.kind != Node::Kind::kMap)
      refuse(node.location, key, fmt::format("{} is {}, not a map of factors", key, nexus::describe(node)),
             "write {ROLE: FACTOR}");
    Value factors;
    for (size_t i = 0; i < node.keys.size(); ++i)
      factors[node.keys[i]] = RealType{0, 1e6, true}.parse(node.children[i], key + "." + node.keys[i]);
    return factors;
  }
  std::string text(const Value& factors) const {
    std::string text;
    for (const auto& [role, factor] : factors)
      text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", role, real_text(factor));
    return "{" + text + "}";
  }
};

void add_rate_scales(CampaignRows& t) {
  Field<CampaignSpec>& field =
      add(t, "optimizer.lr_scale", "{}", FactorsType{}, at(&CampaignSpec::optimizer, &OptimizerSpec::lr_scale),
          kSchedule, "factors on the rate of input, output, norm, or a layer's matrices: {w_a: 0.6, output: 0.5}");
  field.get = [get = field.get](const CampaignSpec& spec) -> std::optional<std::string> {
    return spec.optimizer.lr_scale.empty() ? std::nullopt : get(spec);  // as where the key is not known
  };
}

void add_optimizer(CampaignRows& t) {
  Field<CampaignSpec>& type = t.emplace_back("optimizer.type", kFixed);  // the only one: no member holds it
  type.preset = "adamw";
  type.comment = "AdamW with decoupled decay";
  type.set = [](CampaignSpec&, const Node& node, const std::string& key) { parse_choice(node, key, {"adamw"}); };
  type.get = [](const CampaignSpec&) -> std::optional<std::string> { return "adamw"; };
  add_betas(t);
  add(t, "optimizer.eps", "1e-8", RealType{0, 1, true}, at(&CampaignSpec::optimizer, &OptimizerSpec::eps), kSchedule,
      "added to the root of the second moment");
  add(t, "optimizer.weight_decay", "0.1", RealType{0, 100}, at(&CampaignSpec::optimizer, &OptimizerSpec::weight_decay),
      kSchedule, "decay of matrices and embeddings");
  add(t, "optimizer.clip", "1", RealType{0, 1e12}, at(&CampaignSpec::optimizer, &OptimizerSpec::clip), kSchedule,
      "largest global gradient norm; 0: no clipping");
  add_rate_scales(t);
}

void add_placement(CampaignRows& t) {
  add(t, "parallel.dp", "auto", CountType{1, kMaxRanks, "auto"}, at(&CampaignSpec::parallel, &ParallelSpec::dp),
      kPlacement, "data-parallel ranks; auto: all that there are");
  add(t, "parallel.tp", "1", CountType{1, kMaxRanks}, at(&CampaignSpec::parallel, &ParallelSpec::tp), kPlacement,
      "tensor-parallel ranks: heads, M, A, F and n_* must divide; neighbours on a node");
  add(t, "parallel.zero", "1", ChoiceType<bool>{{{"1", true}, {"0", false}}},
      at(&CampaignSpec::parallel, &ParallelSpec::zero), kPlacement,
      "1: optimizer state sharded over dp (ZeRO-1); 0: every rank has all of it; same results");
  add(t, "parallel.sequence", "true", FlagType{}, at(&CampaignSpec::parallel, &ParallelSpec::sequence), kPlacement,
      "split the tokens of the residual stream over tp: less memory, as much communication");
  add(t, "precision.compute", "f32", choice_of({DType::kF32, DType::kBF16, DType::kF64}),
      at(&CampaignSpec::precision, &PrecisionSpec::compute), kSchedule, "f32, bf16 or f64; bf16 keeps f32 masters");
  add(t, "precision.deterministic", "false", FlagType{}, at(&CampaignSpec::precision, &PrecisionSpec::deterministic),
      kPlacement, "GPU: the same bits on every rerun; slower attention. The CPU always has them");
  add(t, "precision.recompute", "none", choice_of({Recompute::kNone, Recompute::kActivations}),
      at(&CampaignSpec::precision, &PrecisionSpec::recompute), kPlacement,
      "none, or activations: GELUs and gates are computed again backwards: less memory, slower, same bits");
}

void add_saving(CampaignRows& t) {
  add(t, "checkpoint.every", "30min", PeriodType{}, at(&CampaignSpec::checkpoint, &CheckpointSpec::every), kPlacement,
      "a time, tokens, steps or never");
  add(t, "checkpoint.keep_last", "2", CountType{1, kMaxKept}, at(&CampaignSpec::checkpoint, &CheckpointSpec::keep_last),
      kPlacement, "newest checkpoints kept, besides the last of every stage");
  add(t, "checkpoint.keep_every", "never", PeriodType{false},
      at(&CampaignSpec::checkpoint, &CheckpointSpec::keep_every), kPlacement,
      "tokens, steps or never: checkpoints kept for ever");
  add(t, "checkpoint.async", "true", FlagType{}, at(&CampaignSpec::checkpoint, &CheckpointSpec::async), kPlacement,
      "train on while a copy of weights and moments is written");
}

// The member of safety.watchdog that holds a key.
auto watchdog(double WatchdogSpec::*member) {
  return [member](auto& spec) -> auto& {
    return spec.safety.watchdog.*member;
  };
}

void add_reports(CampaignRows& t) {
  const ChoiceType<NonfiniteAction> nonfinite{{{"stop", NonfiniteAction::kStop}, {"skip", NonfiniteAction::kSkip}}};
  ChoiceType<std::string> flops;
  for (const std::string& name : flops_definition_names()) flops.choices.emplace_back(name, name);
  add(t, "eval.every", "never", PeriodType{false}, at(&CampaignSpec::eval, &EvalSpec::every), kCosmetic,
      "tokens, steps or never, besides each stage's start and end");
  add(t, "eval.max_tokens", "0", CountType{0, kMaxEvalTokens}, at(&CampaignSpec::eval, &EvalSpec::max_tokens),
      kCosmetic, "held-out tokens per evaluation; 0: all");
  ChoiceListType evaluations;
  for (const Evaluation* each : all_evaluations()) evaluations.names.emplace_back(each->name);
  add(t, "eval.evaluations", "[validation_loss]", evaluations, at(&CampaignSpec::eval, &EvalSpec::evaluations),
      kCosmetic, "what is evaluated; validation_loss in any case");
  add(t, "eval.tasks", "[]", PathListType{}, at(&CampaignSpec::eval, &EvalSpec::tasks), kCosmetic,
      "names of tasks or task files, scored at each stage's end");
  add(t, "eval.tasks_every", "never", PeriodType{false}, at(&CampaignSpec::eval, &EvalSpec::tasks_every), kCosmetic,
      "tokens, steps or never, besides each stage's end");
  add(t, "eval.tasks_data", "null", PathType{true}, at(&CampaignSpec::eval, &EvalSpec::tasks_data), kCosmetic,
      "folder with the tasks' files");
  add(t, "eval.tasks_limit", "0", CountType{0, kMaxEvalTokens}, at(&CampaignSpec::eval, &EvalSpec::tasks_limit),
      kCosmetic, "items of each task; 0: all");
  add(t, "logging.tensorboard", "false", FlagType{}, at(&CampaignSpec::logging, &LoggingSpec::tensorboard), kCosmetic,
      "event files in RUN/tensorboard while training");
  add(t, "safety.nonfinite", "stop", nonfinite, at(&CampaignSpec::safety, &SafetySpec::nonfinite), kPlacement,
      "at a loss or gradient that is not finite: stop, or skip the update");
  add(t, "safety.watchdog.start", "10min", DurationType{}, watchdog(&WatchdogSpec::start_seconds), kPlacement,
      "end the job, with a report, after this time without a sign of life before the first step");
  add(t, "safety.watchdog.step", "5min", DurationType{}, watchdog(&WatchdogSpec::step_seconds), kPlacement,
      "the same later; longer than the slowest micro-batch");
  add(t, "safety.replica_check", "1000", CountType{0, kMaxSteps}, at(&CampaignSpec::safety, &SafetySpec::replica_check),
      kPlacement, "steps between comparisons of the ranks' copies; 0: only before each save");
  add(t, "account.flops_def", "gemm_causal", flops, at(&CampaignSpec::account, &AccountSpec::flops_def), kAccount,
      flops.describe());
  add(t, "account.peak_tflops", "null", OptionalRealType{{0, 1e9, true}},
      at(&CampaignSpec::account, &AccountSpec::peak_tflops), kCosmetic, "peak of one rank, for MFU; null: no MFU");
}

// What a campaign may spend, and what that is reckoned with.
void add_budget(CampaignRows& t) {
  const OptionalRealType positive{{0, 1e15, true}};
  add(t, "account.watts_per_gpu", "null", positive, at(&CampaignSpec::account, &AccountSpec::watts_per_gpu), kCosmetic,
      "mean draw of one rank with its share of the node, in W; null: energy is not counted");
  add(t, "account.pue", "1", RealType{1, 10}, at(&CampaignSpec::account, &AccountSpec::pue), kCosmetic,
      "power usage effectiveness of the hall");
  add(t, "account.price_per_gpu_hour", "null", positive, at(&CampaignSpec::account, &AccountSpec::price_per_gpu_hour),
      kCosmetic, "of one rank and hour, in any currency; null: money is not counted");
  add(t, "budget.gpu_hours", "null", positive, at(&CampaignSpec::budget, &BudgetSpec::gpu_hours), kPlacement,
      "rank-hours that the campaign may use, lost work included; then save and exit with 5");
  add(t, "budget.node_hours", "null", positive, at(&CampaignSpec::budget, &BudgetSpec::node_hours), kPlacement,
      "the same in hours of nodes");
  add(t, "budget.kwh", "null", positive, at(&CampaignSpec::budget, &BudgetSpec::kwh), kPlacement,
      "the same in kWh; needs account.watts_per_gpu");
  add(t, "budget.money", "null", positive, at(&CampaignSpec::budget, &BudgetSpec::money), kPlacement,
      "the same in money; needs account.price_per_gpu_hour");
}

void add_slurm(CampaignRows& t) {
  using Chain = SlurmSpec::Chain;
  add(t, "slurm.chain", "stages", ChoiceType<Chain>{{{"stages", Chain::kStages}, {"campaign", Chain::kCampaign}}},
      at(&CampaignSpec::slurm, &SlurmSpec::chain), kPlacement,
      "a job for every stage, each after the one before (stages), or one job for all (campaign)");
  add(t, "slurm.nodes", "1", CountType{1, kMaxRanks}, at(&CampaignSpec::slurm, &SlurmSpec::nodes), kPlacement,
      "nodes of a job");
  add(t, "slurm.time", "never", DurationType{}, at(&CampaignSpec::slurm, &SlurmSpec::time_seconds), kPlacement,
      "time limit of a job; never: the cluster's longest");
  add(t, "slurm.stop_margin", "1min", DurationType{}, at(&CampaignSpec::slurm, &SlurmSpec::stop_margin_seconds),
      kPlacement, "a job stops itself so long, and the time of a save, before its time limit");
  add(t, "slurm.max_requeues", "100", CountType{0, kMaxKept}, at(&CampaignSpec::slurm, &SlurmSpec::max_requeues),
      kPlacement, "most requeues of one job");
  add(t, "slurm.max_idle_starts", "3", CountType{1, kMaxKept}, at(&CampaignSpec::slurm, &SlurmSpec::max_idle_starts),
      kPlacement, "starts in a row that commit nothing: the next one is refused (exit code 93)");
}

}  // namespace

const CampaignRows& campaign_table() {
  static const CampaignRows table = [] {
    CampaignRows t;
    add_run(t);
    add_model_rows(t);
    add_data(t);
    add_optimizer(t);
    add_placement(t);
    add_list(t, "stages", ListKey::kStages, kFixed);
    add_saving(t);
    add_reports(t);
    add_budget(t);
    add_slurm(t);
    return t;
  }();
  return table;
}

const Table<DatasetRef>& dataset_table() {
  static const Table<DatasetRef> table = [] {
    Table<DatasetRef> t;
    add(t, "path", "", PathType{}, at(&DatasetRef::path), kData, "prefix of PATH.bin and PATH.idx").example =
        "data/train";
    add(t, "weight", "1", RealType{0, 1e12, true}, at(&DatasetRef::weight), kFixed,
        "share of the samples, relative to the other datasets");
    return t;
  }();
  return table;
}

}  // namespace nexus
