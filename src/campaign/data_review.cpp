#include "campaign/data_review.h"

#include <fmt/format.h>

#include <numeric>

#include "core/error.h"
#include "core/files.h"
#include "core/units.h"
#include "data/text_overlap.h"

namespace nexus {
namespace {

constexpr size_t kMaxLines = 8;

// 0.037, 2.1, 394
std::string format_passes(double passes) {
  return passes >= 100 ? fmt::format("{:.0f}", passes) : fmt::format("{:.2g}", passes);
}

std::string line_of(const CampaignSpec& spec, const DatasetUse& use) {
  std::string text = fmt::format("data {} | tokens {} | epochs", use.path, format_count(use.tokens));
  if (spec.stages.size() <= kMaxLines)
    for (size_t i = 0; i < spec.stages.size(); ++i)
      text += fmt::format(" {} {}", spec.stages[i].name, format_passes(use.passes[i]));
  if (spec.stages.size() > 1) text += " all " + format_passes(use.all_passes());
  return text;
}

std::string warning_of(const CampaignSpec& spec, const DatasetUse& use) {
  const bool one = spec.stages.size() == 1;
  return fmt::format(
      "{} reads {} {} times: text that is read more than about {:.0f} times teaches ever less (arXiv 2305.16264), and "
      "a "
      "small one is learned by heart; give more text, fewer tokens or a lower weight",
      one ? "stage " + spec.stages[0].name : "the stages together", use.path, format_passes(use.all_passes()),
      kManyPasses);
}

void review_overlap(const CampaignSpec& spec, DataReview& review) {
  if (spec.data.valid.empty()) return;
  for (const DatasetRef& dataset : spec.data.train) {
    const std::string reason = same_text_reason(spec.data.valid, dataset.path);
    if (!reason.empty())
      review.warnings.push_back(fmt::format(
          "validation text is trained on: {} {} as data.train {}; its losses say nothing about new text, so "
          "name the -valid part of the same build (`nexus data verify VALID --against TRAIN` counts)",
          spec.data.valid, reason, dataset.path));
  }
}

// The first file that is not there.
std::string missing_file(const DataOptions& data) {
  std::vector<std::string> prefixes;
  for (const DatasetRef& dataset : data.train) prefixes.push_back(dataset.path);
  if (!data.valid.empty()) prefixes.push_back(data.valid);
  for (const std::string& prefix : prefixes)
    for (const char* suffix : {".idx", ".bin"})
      if (!path_exists(prefix + suffix)) return prefix + suffix;
  return "";
}

}  // namespace

double DatasetUse::all_passes() const {
  return std::accumulate(passes.begin(), passes.end(), 0.0);
}

DataReview review_data(const CampaignSpec& spec, const Sampler& sampler) {
  DataReview review;
  for (size_t d = 0; d < spec.data.train.size(); ++d) {
    DatasetUse use{spec.data.train[d].path, sampler.tokens(d), {}};
    for (size_t i = 0; i < spec.stages.size(); ++i) {
      const double tokens = static_cast<double>(spec.steps_of_stage(i)) * static_cast<double>(spec.batch.global_tokens);
      use.passes.push_back(sampler.passes(d, tokens / static_cast<double>(spec.data.context)));
    }
    if (use.all_passes() > kManyPasses) review.warnings.push_back(warning_of(spec, use));
    if (d < kMaxLines) review.lines.push_back(line_of(spec, use));
    review.datasets.push_back(std::move(use));
  }
  if (spec.data.train.size() > kMaxLines)
    review.lines.push_back(fmt::format("data and {} more datasets", spec.data.train.size() - kMaxLines));
  review_overlap(spec, review);
  return review;
}

DataReview review_data(const CampaignSpec& spec) {
  DataReview review;
  if (spec.data.train.empty()) return review;
  if (const std::string missing = missing_file(spec.data); !missing.empty()) {
    review.lines.push_back(fmt::format("data {} is not here: epochs are not counted", missing));
    return review;
  }
  try {
    review = review_data(spec, Sampler(spec.data, spec.seed, spec.model.vocab));
    if (!spec.data.valid.empty()) EvalWindows(spec.data.valid, spec.data.context, spec.model.vocab);
  } catch (const Error& error) {
    review.warnings.push_back(fmt::format("training will not start: {}", error.what()));
  }
  return review;
}

}  // namespace nexus
