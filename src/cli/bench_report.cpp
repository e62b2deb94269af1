#include "cli/bench_report.h"

#include <algorithm>
#include <utility>

#include "accounting/flops.h"
#include "core/units.h"
#include "model/workload.h"
#include "train/train_state.h"

namespace nexus {
namespace {

using Family = Profiler::Family;
using NamedFamily = std::pair<std::string, Family>;

// "157.3 GFLOP/s", "4.31 TB/s": `unit` with the prefix that leaves one to three digits before the point.
std::string rate_text(double per_second, const char* unit) {
  const bool tera = per_second >= 1e12;
  return fmt::format("{:.{}f} {}{}", per_second / (tera ? 1e12 : 1e9), tera && per_second < 1e13 ? 2 : 1,
                     tera ? "T" : "G", unit);
}

double percent(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

// --- derived figures
double flops_per_token(const BenchReport& report) {
  return training_flops_per_token(report.spec.model_of_stage(0), report.spec.data.context,
                                  flops_definition(report.spec.account.flops_def));
}

WorkloadWords words_of(const BenchReport& report) {
  return workload(report.spec.model.workload).words();
}

double flops_per_second_and_rank(const BenchReport& report, const StepRun& run) {
  return flops_per_token(report) * run.tokens_per_second() / report.ranks();
}

double of_gemm_peak(const BenchReport& report, const StepRun& run) {
  return flops_per_second_and_rank(report, run) / report.ceilings.gemm_flops_per_second;
}

std::optional<double> model_flops_utilization(const BenchReport& report, const StepRun& run) {
  if (!report.spec.account.peak_tflops) return std::nullopt;
  return flops_per_second_and_rank(report, run) / (*report.spec.account.peak_tflops * 1e12);
}

// A family's rate and the ceiling that it is compared with. Products and attention are bound by arithmetic, the rest by
// memory; what crosses to the host has no ceiling here.
struct Rate {
  double per_second = 0, ceiling = 0;
  const char *unit = "", *bound = "";
};

Rate rate_of(const std::string& name, const Family& family, const Ceilings& ceilings) {
  if (family.seconds <= 0) return {};
  if (family.flops > 0) return {family.flops / family.seconds, ceilings.gemm_flops_per_second, "FLOP/s", "gemm"};
  const double bytes = family.bytes / family.seconds;
  if (name == "transfer") return {bytes, 0, "B/s", ""};
  return {bytes, ceilings.copy_bytes_per_second, "B/s", "copy"};
}

std::vector<NamedFamily> slowest_first(const StepProfile& profile) {
  std::vector<NamedFamily> sorted(profile.families.begin(), profile.families.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const NamedFamily& a, const NamedFamily& b) { return a.second.seconds > b.second.seconds; });
  return sorted;
}

// --- text
std::string head_text(const BenchReport& report) {
  const CampaignSpec& spec = report.spec;
  std::string text = fmt::format("model    {}\nbackend  {}\n", describe(spec.model_of_stage(0)), report.backend);
  text += fmt::format("step     {} {} in context {}, compute {}, dp {} tp {}\n", spec.batch.global_tokens,
                      words_of(report).unit, spec.data.context, name_of(spec.precision.compute), report.dp, report.tp);
  const Ceilings& c = report.ceilings;
  text += fmt::format("ceilings product of {0} x {0} x {0}: {1} | copy of {2}: {3} read and written{4}\n", c.gemm_size,
                      rate_text(c.gemm_flops_per_second, "FLOP/s"), format_bytes(c.copy_bytes),
                      rate_text(c.copy_bytes_per_second, "B/s"), report.ranks() > 1 ? " (slowest rank)" : "");
  return text;
}

std::string runs_text(const BenchReport& report) {
  std::string text =
      fmt::format("\n{:>6}{:>7}{:>12}{:>12}{:>12}{:>10}{:>8}{:>12}{:>12}\n", "micro", "passes", "ms/step",
                  words_of(report).short_unit + "/s", "per rank", "of GEMM", "MFU", "own", "device");
  for (const StepRun& run : report.runs) {
    if (!run.ran()) {
      text += fmt::format("{:>6}  does not fit: {}\n", run.micro, run.refusal);
      continue;
    }
    const std::optional<double> mfu = model_flops_utilization(report, run);
    text +=
        fmt::format("{:>6}{:>7}{:>12.1f}{:>12.0f}{:>12.0f}{:>9.1f}%{:>8}{:>12}{:>12}{}\n", run.micro, run.accumulation,
                    run.step_seconds() * 1e3, run.tokens_per_second(), run.tokens_per_second() / report.ranks(),
                    100 * of_gemm_peak(report, run), mfu ? fmt::format("{:.1f}%", 100 * *mfu) : "-",
                    format_bytes(run.buffer_bytes), run.device_bytes > 0 ? format_bytes(run.device_bytes) : "-",
                    &run == &report.runs[*report.chosen] ? "  <- fastest" : "");
  }
  return text + "\n";
}

std::string chosen_text(const BenchReport& report, const StepRun& run) {
  const auto [least, most] = std::minmax_element(run.seconds.begin(), run.seconds.end());
  const double step = run.step_seconds();
  std::string text = fmt::format("params   {}\nmicro    {} sequences, {} per step and rank\n", run.params, run.micro,
                                 run.accumulation);
  text +=
      fmt::format("time     median {:.1f} ms, min {:.1f}, max {:.1f} of {} | {:.3f} steps/s{}\n", step * 1e3,
                  *least * 1e3, *most * 1e3, run.seconds.size(), 1 / step, report.ranks() > 1 ? " (slowest rank)" : "");
  text += fmt::format("speed    {:.0f} {}/s | {:.0f} per rank\n", run.tokens_per_second(), words_of(report).short_unit,
                      run.tokens_per_second() / report.ranks());
  text += fmt::format("compute  {} per rank (flops_def {}) | {:.1f} % of the measured product\n",
                      rate_text(flops_per_second_and_rank(report, run), "FLOP/s"), report.spec.account.flops_def,
                      100 * of_gemm_peak(report, run));
  if (const std::optional<double> mfu = model_flops_utilization(report, run))
    text += fmt::format("MFU      {:.1f} % = flops_def {} x {} per second and rank / {:g} TFLOP/s\n", 100 * *mfu,
                        report.spec.account.flops_def, words_of(report).unit, *report.spec.account.peak_tflops);
  text += fmt::format(
      "memory   {} of own buffers at the high-water mark | plan said {} ({:+.1f} %)", format_bytes(run.buffer_bytes),
      format_bytes(run.planned_bytes),
      percent(static_cast<double>(run.buffer_bytes - run.planned_bytes), static_cast<double>(run.planned_bytes)));
  if (run.device_bytes > 0) text += fmt::format(" | {} in use on the device", format_bytes(run.device_bytes));
  return text + "\n";
}

std::string family_line(const NamedFamily& named, const BenchReport& report) {
  const auto& [name, family] = named;
  const StepProfile& profile = *report.profile;
  const Rate rate = rate_of(name, family, report.ceilings);
  std::string text =
      fmt::format("{:<19}{:>10.2f}{:>7.1f}%{:>8}", name, family.seconds / profile.steps * 1e3,
                  percent(family.seconds / profile.steps, profile.family_seconds()), family.calls / profile.steps);
  if (rate.per_second > 0) text += fmt::format("{:>17}", rate_text(rate.per_second, rate.unit));
  if (rate.ceiling > 0) text += fmt::format("{:>8.1f}% {}", percent(rate.per_second, rate.ceiling), rate.bound);
  return text + "\n";
}

std::string families_text(const BenchReport& report, const StepRun& run) {
  const StepProfile& profile = *report.profile;
  std::string text = fmt::format("\n{:<19}{:>10}{:>8}{:>8}{:>17}{:>14}\n", "family", "ms/step", "share", "calls",
                                 "rate", "of ceiling");
  for (const NamedFamily& named : slowest_first(profile)) text += family_line(named, report);
  const double sum = profile.family_seconds();
  text += fmt::format("{:<19}{:>10.2f}\n", "sum", sum * 1e3);
  text += fmt::format("{:<19}{:>10.2f}  of the step with marks, {:.2f} ms: {}launches, the host's own work\n",
                      "outside", (profile.step_seconds - sum) * 1e3, profile.step_seconds * 1e3,
                      report.ranks() > 1 ? "collectives, " : "");
  text += fmt::format("{:<19}{:>10.2f}  without marks; the families are {:.1f} % of it\n", "step",
                      run.step_seconds() * 1e3, percent(sum, run.step_seconds()));
  return text + "Ceilings: the large product and the large copy above. Bytes: each input once, each output once.\n";
}

// --- JSON
nlohmann::json run_json(const BenchReport& report, const StepRun& run) {
  nlohmann::json document{{"micro", run.micro}};
  if (!run.ran()) {
    document["refused"] = run.refusal;
    return document;
  }
  const std::optional<double> mfu = model_flops_utilization(report, run);
  document["accumulation"] = run.accumulation;
  document["step_seconds"] = run.seconds;
  document["median_step_seconds"] = run.step_seconds();
  document["tokens_per_step"] = run.tokens;
  document["flops_per_step"] = flops_per_token(report) * static_cast<double>(run.tokens);
  document["tokens_per_second"] = run.tokens_per_second();
  document["tokens_per_second_and_rank"] = run.tokens_per_second() / report.ranks();
  document["flops_per_second_and_rank"] = flops_per_second_and_rank(report, run);
  document["of_gemm_peak"] = of_gemm_peak(report, run);
  document["mfu"] = mfu ? nlohmann::json(*mfu) : nlohmann::json();
  document["buffer_bytes"] = run.buffer_bytes;
  document["planned_bytes"] = run.planned_bytes;
  document["device_bytes"] = run.device_bytes;
  document["params"] = run.params;
  return document;
}

nlohmann::json profile_json(const BenchReport& report) {
  const StepProfile& profile = *report.profile;
  nlohmann::json document{{"step_seconds", profile.step_seconds}, {"family_seconds", profile.family_seconds()}};
  for (const auto& [name, family] : profile.families) {
    const Rate rate = rate_of(name, family, report.ceilings);
    nlohmann::json& entry = document["families"][name];
    entry = {{"seconds_per_step", family.seconds / profile.steps},
             {"share", family.seconds / profile.steps / profile.family_seconds()},
             {"calls_per_step", family.calls / profile.steps},
             {"flops_per_step", family.flops / profile.steps},
             {"bytes_per_step", family.bytes / profile.steps}};
    if (family.seconds <= 0) continue;
    entry["flops_per_second"] = family.flops / family.seconds;
    entry["bytes_per_second"] = family.bytes / family.seconds;
    if (rate.ceiling > 0) entry["of_ceiling"] = rate.per_second / rate.ceiling;
    if (rate.ceiling > 0) entry["ceiling"] = rate.bound;
  }
  return document;
}

// What another program needs to build the same step.
nlohmann::json shape_json(const BenchReport& report) {
  const ModelConfig model = report.spec.model_of_stage(0);
  nlohmann::json document = to_json(model);
  document["context"] = report.spec.data.context;
  document["global_tokens"] = report.spec.batch.global_tokens;
  return document;
}

}  // namespace

std::optional<size_t> fastest(const std::vector<StepRun>& runs) {
  std::optional<size_t> best;
  for (size_t i = 0; i < runs.size(); ++i)
    if (runs[i].ran() && (!best || runs[i].tokens_per_second() > runs[*best].tokens_per_second())) best = i;
  return best;
}

std::string bench_text(const BenchReport& report) {
  NX_CHECK(report.chosen, "no run to report");
  const StepRun& run = report.runs[*report.chosen];
  std::string text = head_text(report);
  if (report.runs.size() > 1) text += runs_text(report);
  text += chosen_text(report, run);
  if (report.profile) text += families_text(report, run);
  return text;
}

nlohmann::json bench_json(const BenchReport& report) {
  NX_CHECK(report.chosen, "no run to report");
  nlohmann::json document = run_json(report, report.runs[*report.chosen]);
  document["name"] = report.spec.name;
  document["unit"] = words_of(report).unit;
  document["model"] = describe(report.spec.model_of_stage(0));
  document["shape"] = shape_json(report);
  document["compute"] = name_of(report.spec.precision.compute);
  document["backend"] = report.backend;
  document["dp"] = report.dp;
  document["tp"] = report.tp;
  document["flops_def"] = report.spec.account.flops_def;
  document["flops_per_token"] = flops_per_token(report);
  document["peak_tflops"] =
      report.spec.account.peak_tflops ? nlohmann::json(*report.spec.account.peak_tflops) : nlohmann::json();
  document["gemm_size"] = report.ceilings.gemm_size;
  document["gemm_peak_flops"] = report.ceilings.gemm_flops_per_second;
  document["copy_bytes"] = report.ceilings.copy_bytes;
  document["copy_bytes_per_second"] = report.ceilings.copy_bytes_per_second;
  for (const StepRun& run : report.runs) document["micro_batches"].push_back(run_json(report, run));
  if (report.profile) document["profile"] = profile_json(report);
  return document;
}

}  // namespace nexus
