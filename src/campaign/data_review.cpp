#include "campaign/data_review.h"

#include <fmt/format.h>

#include <numeric>

#include "checkpoint/checkpoint.h"
#include "core/error.h"
#include "core/files.h"
#include "core/units.h"
#include "model/workload.h"
#include "train/train_state.h"

namespace nexus {
namespace {

constexpr size_t kMaxLines = 8;

// 0.037, 2.1, 394
std::string format_passes(double passes) {
  return passes >= 100 ? fmt::format("{:.0f}", passes) : fmt::format("{:.2g}", passes);
}

std::string line_of(const CampaignSpec& spec, const DatasetUse& use) {
  std::string text =
      fmt::format("data {} | {} {} | epochs", use.path, workload(spec.model.workload).unit(), format_count(use.units));
  if (spec.stages.size() <= kMaxLines)
    for (size_t i = 0; i < spec.stages.size(); ++i)
      text += fmt::format(" {} {}", spec.stages[i].name, format_passes(use.passes[i]));
  if (use.inherited > 0) text += " init_from " + format_passes(use.inherited);
  if (spec.stages.size() > 1 || use.inherited > 0) text += " all " + format_passes(use.all_passes());
  return text;
}

void review_repetition(const CampaignSpec& spec, const DatasetUse& use, DataReview& review) {
  const std::string warning = workload(spec.model.workload).repetition_warning(use.all_passes());
  if (warning.empty()) return;
  const bool one = spec.stages.size() == 1 && use.inherited == 0;
  review.warnings.push_back(fmt::format("{} reads {} {} times: {}",
                                        one                 ? "stage " + spec.stages[0].name
                                        : use.inherited > 0 ? "the lineage (init_from's runs and this one)"
                                                            : "the stages together",
                                        use.path, format_passes(use.all_passes()), warning));
}

void review_overlap(const CampaignSpec& spec, const RunData& data, DataReview& review) {
  if (!data.valid) return;
  const Workload& kind = workload(spec.model.workload);
  for (size_t i = 0; i < data.train.size(); ++i) {
    const std::string warning = kind.overlap_warning(*data.valid, data.train[i]);
    if (!warning.empty()) review.warnings.push_back(warning);
  }
}

// For each dataset the first one that holds the same samples: itself where no earlier one does.
std::vector<size_t> first_of_same(const Sampler& sets) {
  std::vector<size_t> first;
  for (size_t d = 0; d < sets.size(); ++d) {
    first.push_back(d);
    for (size_t earlier = 0; earlier < d && first[d] == d; ++earlier)
      if (first[earlier] == earlier && sets[earlier].holds_same(sets[d])) first[d] = earlier;
  }
  return first;
}

// How often each dataset is read; what stands under several names is read under all of them.
std::vector<DatasetUse> uses_of(const CampaignSpec& spec, const Sampler& sampler, int64_t inherited_units,
                                const std::vector<size_t>& first) {
  const auto context = static_cast<double>(spec.data.context);
  std::vector<DatasetUse> uses;
  for (size_t d = 0; d < first.size(); ++d) uses.push_back({spec.data.train[d].path, sampler[d].units(), {}, 0});
  for (size_t d = 0; d < first.size(); ++d) {
    DatasetUse& use = uses[d];
    use.passes.assign(spec.stages.size(), 0.0);
    for (size_t same = 0; same < first.size(); ++same) {
      if (first[same] != first[d]) continue;
      use.inherited += sampler.passes(same, static_cast<double>(inherited_units) / context);
      for (size_t i = 0; i < spec.stages.size(); ++i) {
        const double tokens =
            static_cast<double>(spec.steps_of_stage(i)) * static_cast<double>(spec.batch.global_tokens);
        use.passes[i] += sampler.passes(same, tokens / context);
      }
    }
  }
  return uses;
}

// The first file that is not there.
std::string missing_file(const CampaignSpec& spec) {
  std::vector<std::string> paths;
  for (const DatasetRef& dataset : spec.data.train) paths.push_back(dataset.path);
  if (!spec.data.valid.empty()) paths.push_back(spec.data.valid);
  for (const std::string& path : paths)
    for (const std::string& file : workload(spec.model.workload).files_of(path))
      if (!path_exists(file)) return file;
  return "";
}

}  // namespace

double DatasetUse::all_passes() const {
  return std::accumulate(passes.begin(), passes.end(), inherited);
}

int64_t units_of_ancestors(const CampaignSpec& spec, const RunData& data) {
  if (spec.init_from.empty()) return 0;
  try {
    const Checkpoint checkpoint(spec.init_from, /*verify_data=*/false);
    const TrainState ancestor = train_state_from_json(checkpoint.state(), spec.init_from);
    std::vector<std::string> digests;
    for (size_t i = 0; i < data.train.size(); ++i)
      if (const auto kept = data.train[i].kept_content()) digests.push_back(kept->digest);
    return !digests.empty() && digests == ancestor.data.train ? ancestor.total_tokens() : 0;
  } catch (const Error&) {  // the launch itself says what is wrong with it
    return 0;
  }
}

DataReview review_data(const CampaignSpec& spec, const RunData& data, int64_t inherited_units) {
  DataReview review;
  const std::vector<size_t> first = first_of_same(data.train);
  review.datasets = uses_of(spec, data.train, inherited_units, first);
  for (size_t d = 0; d < first.size(); ++d) {
    const DatasetUse& use = review.datasets[d];
    if (d < kMaxLines) review.lines.push_back(line_of(spec, use));
    if (first[d] != d)
      review.warnings.push_back(fmt::format(
          "data.train.{}.path ({}) holds the same {} as data.train.{}.path ({}): epochs are counted of both "
          "together; name it once, with the sum of the weights",
          d, use.path, workload(spec.model.workload).unit(), first[d], spec.data.train[first[d]].path));
    else
      review_repetition(spec, use, review);
  }
  if (spec.data.train.size() > kMaxLines)
    review.lines.push_back(fmt::format("data and {} more datasets", spec.data.train.size() - kMaxLines));
  review_overlap(spec, data, review);
  return review;
}

DataReview review_data(const CampaignSpec& spec) {
  DataReview review;
  if (spec.data.train.empty()) return review;
  if (const std::string missing = missing_file(spec); !missing.empty()) {
    review.lines.push_back(fmt::format("data {} is not here: epochs are not counted", missing));
    return review;
  }
  try {
    const RunData data = open_data(spec.data, spec.model, spec.seed);
    review = review_data(spec, data, units_of_ancestors(spec, data));
    workload(spec.model.workload).check_descriptions(data.named(), {spec.tokenizer}, spec.model);
  } catch (const Error& error) {
    review.warnings.push_back(fmt::format("training will not start: {}", error.what()));
  }
  return review;
}

}  // namespace nexus
