#include "monitor/run_series.h"

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "core/error.h"
#include "core/files.h"
#include "core/run_folder.h"
#include "records/run_description.h"

namespace nexus {
namespace {

std::string name_of_folder(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename();
}

WorkloadWords words_of(const RunFolder& run) {
  const auto description = RunDescription::read(run);
  return description ? description->words() : WorkloadWords{};
}

template <typename Record, typename Read, typename Values>
void add_rows(RunSeries& series, std::vector<JsonRecord> lines, const Read& read, const Values& values) {
  for (const JsonRecord& line : apply_resumes(std::move(lines))) {
    if (line.kind() != Record::kKind) continue;
    const Record record = read(line);
    series.rows.push_back({record, std::is_same_v<Record, EvalRecord>, record.tokens, line.time(), values(record)});
  }
}

template <typename ReadLines>
RunSeries series_of(const RunFolder& run, const ReadLines& read_lines) {
  RunSeries series{run.root, name_of_folder(run.root), words_of(run), {}};
  add_rows<StepRecord>(series, read_lines(run.metrics()), step_from_json,
                       [](const StepRecord& record) { return scalars_of(record); });
  add_rows<EvalRecord>(series, read_lines(run.evals()), eval_from_json,
                       [&](const EvalRecord& record) { return scalars_of(record, series.words); });
  std::ranges::stable_sort(series.rows, {}, [](const SeriesRow& row) {
    return std::tuple(row.place.stage_index, row.place.step, row.is_eval);
  });
  return series;
}

}  // namespace

const double* SeriesRow::find(const std::string& name) const {
  const auto found = std::ranges::find(values, name, &Scalars::value_type::first);
  return found == values.end() ? nullptr : &found->second;
}

std::vector<std::string> names_of(const std::vector<RunSeries>& runs) {
  std::vector<std::string> all;
  for (const RunSeries& run : runs)
    for (const SeriesRow& row : run.rows)
      for (const auto& [word, value] : row.values)
        if (std::ranges::find(all, word) == all.end()) all.push_back(word);
  return all;
}

RunSeries read_series(const std::string& folder) {
  const RunFolder run{folder};
  if (!path_exists(run.run_json()))
    throw Error(ErrorKind::kData, "no run folder: it has no run.json", folder, "name the folder `out` of a campaign");
  return series_of(run, read_json_lines);
}

RunSeries read_series_end(const std::string& folder, int64_t bytes) {
  return series_of(RunFolder{folder}, [bytes](const std::string& path) {
    return records_from(path, std::max<int64_t>(0, size_of_file(path) - bytes));
  });
}

}  // namespace nexus
