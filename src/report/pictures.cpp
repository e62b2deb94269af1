#include "report/pictures.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <limits>

#include "core/ascii.h"
#include "core/files.h"
#include "system/environment.h"
#include "system/process.h"

namespace nexus {
namespace {

// Looks for the packages without importing them, which takes a second.
constexpr const char* kProbe =
    "import importlib.util as u, sys; sys.exit(not (u.find_spec('matplotlib') and u.find_spec('numpy')))";

constexpr double kNoLimit = std::numeric_limits<double>::infinity();

}  // namespace

std::string headline_picture(const WorkloadWords& words) {
  return words.headline + "_flops";
}

std::vector<Picture> all_pictures(const WorkloadWords& words, bool with_figures) {
  const std::string& measure = words.headline;
  const std::string in_unit = "in " + words.loss_unit_in_words();
  std::vector<Picture> pictures = {
      {headline_picture(words), capitalized(measure) + " against compute",
       fmt::format("Validation {}, {}, against cumulative training FLOPs, {}. A grown model's curve carries its "
                   "ancestors' FLOPs. Bars are two standard errors of the mean over validation {}; rings mark growth; "
                   "the dashed line is the target of the largest saving and the arrow that saving. A run whose figures "
                   "do not compare with the baseline's is left out, and named below the axis.",
                   measure, words.has_perplexity() ? "exp(mean loss " + in_unit + ")" : "the mean " + in_unit,
                   words.has_perplexity() ? "both axes logarithmic" : "whose axis is logarithmic", words.samples)},
      {"compute_saved", "Compute saved at matched " + measure,
       "1 - C_run(p) / C_baseline(p) for every target p that both curves cross; the band is the bootstrap interval "
       "over evaluation noise, without the spread between training seeds. Where the band is missing, some draws do not "
       "cross p. The dot is the figure of the comparison table."},
      {"loss_curves", "Training loss and learning rate",
       fmt::format("Mean training loss {} over buckets of consecutive steps, the band from the least to the greatest "
                   "loss in a bucket, against the lineage's {}; stages are shaded in turn; below, the learning rate.",
                   in_unit, words.unit)},
      {"growth", "Stages and growth",
       fmt::format("Top: the stages of each run along the lineage's {}, as thick as the model has parameters. Bottom: "
                   "validation loss after minus before each growth, in {}; zero is lossless. The bar is the loss's own "
                   "standard error for scale: both sides read the same {}, so their difference is far more exact than "
                   "that.",
                   words.unit, words.loss_thousandths(), words.samples)}};
  if (with_figures)
    pictures.push_back(
        {"figures", "Further evaluations against compute",
         "Each figure of the evaluations besides the validation loss, against cumulative training FLOPs. Bars are two "
         "standard errors, where a figure has one. A run whose figures do not compare with the baseline's is left out, "
         "and named below the axis."});
  return pictures;
}

std::string analysis_folder() {
  if (const std::string given = environment("NEXUS_ANALYSIS_DIR"); !given.empty()) return given;
  const std::filesystem::path beside = std::filesystem::path(own_program()).parent_path() / NEXUS_INSTALLED_ANALYSIS;
  std::error_code ignored;
  return std::filesystem::is_directory(beside, ignored) ? beside.lexically_normal().string() : NEXUS_ANALYSIS_DIR;
}

std::string find_plot_python() {
  const std::string given = environment("NEXUS_PYTHON");
  const std::vector<std::string> candidates =
      given.empty() ? std::vector<std::string>{"python3", "/usr/bin/python3"} : std::vector<std::string>{given};
  for (const std::string& python : candidates)
    if (run_process({python, "-c", kProbe}, kNoLimit).ok()) return python;
  return "";
}

std::vector<std::string> draw_pictures(const std::vector<Picture>& pictures, const std::string& curves_path,
                                       const std::string& folder, std::vector<std::string>& warnings) {
  std::vector<std::string> drawn;
  const std::string python = find_plot_python();
  if (python.empty()) {
    warnings.push_back(
        "no pictures: no python3 with matplotlib was found (Debian: python3-matplotlib; NEXUS_PYTHON names "
        "an interpreter); the tables are complete");
    return drawn;
  }
  for (const Picture& picture : pictures) {
    const std::string file = fmt::format("{}/{}.svg", folder, picture.name);
    std::error_code ignored;
    std::filesystem::remove(file, ignored);  // an older report's picture must not pass for this one's
    const std::string script = fmt::format("{}/plot_{}.py", analysis_folder(), picture.name);
    const ProcessResult result = run_process({python, "-B", script, curves_path, "--out", folder}, kNoLimit);
    std::fputs((result.output + result.errors).c_str(), stderr);  // our own stdout may be JSON
    if (!result.ok())
      warnings.push_back(
          fmt::format("picture {} was not drawn: {} ended with code {}", picture.name, script, result.code));
    else if (path_exists(file))
      drawn.push_back(picture.name);
  }
  return drawn;
}

}  // namespace nexus
