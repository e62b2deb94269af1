#include "monitor/metrics_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/files.h"
#include "core/host.h"
#include "records/event_file.h"
#include "records/status_record.h"
#include "report/table.h"

namespace nexus {
namespace {

// A label's value: its backslashes, quotes and line breaks are escaped.
std::string label_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\n')
      escaped += "\\n";
    else if (c == '\\' || c == '"')
      escaped += std::string("\\") + c;
    else
      escaped += c;
  }
  return escaped;
}

// [a-zA-Z0-9_] only.
std::string metric_name(const std::string& name) {
  std::string metric = "nexus_" + name;
  for (char& c : metric)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return metric;
}

// Lines of one metric must stand together, whatever run they are of.
class Gauges {
 public:
  void add(const std::string& name, const std::string& labels, double value) {
    const std::string metric = metric_name(name);
    if (!lines_.contains(metric)) order_.push_back(metric);
    lines_[metric] += fmt::format("{}{{{}}} {}\n", metric, labels, value);
  }
  std::string text() const {
    std::string all;
    for (const std::string& metric : order_) all += fmt::format("# TYPE {} gauge\n{}", metric, lines_.at(metric));
    return all;
  }

 private:
  std::vector<std::string> order_;
  std::map<std::string, std::string> lines_;
};

}  // namespace

std::string csv_text(const std::vector<RunSeries>& runs) {
  const std::vector<std::string> names = names_of(runs);
  std::string text = "run,kind,stage,step,tokens,time";
  for (const std::string& name : names) text += fmt::format(",{}", escape_csv(name));
  text += "\n";
  for (const RunSeries& run : runs)
    for (const SeriesRow& row : run.rows) {
      text += fmt::format("{},{},{},{},{},{}", escape_csv(run.folder), row.is_eval ? "eval" : "step",
                          escape_csv(row.place.stage), row.place.step, row.tokens, row.time);
      for (const std::string& name : names) {
        const double* value = row.find(name);
        text += value ? fmt::format(",{}", *value) : ",";
      }
      text += "\n";
    }
  return text;
}

void write_tensorboard(const std::vector<RunSeries>& runs, const std::string& out) {
  std::set<std::string> names;
  for (const RunSeries& run : runs)
    if (!names.insert(run.name).second)
      throw Error(ErrorKind::kConfig,
                  fmt::format("two runs are called {}, and each has a folder of its name", run.name), run.folder,
                  "export them one after another, with another --out");
  for (const RunSeries& run : runs) {
    const std::string folder = out + "/" + run.name;
    make_folders(folder);
    EventFile file(event_file_name(folder, 0, host_name()), run.rows.empty() ? 0 : run.rows.front().time);
    for (const SeriesRow& row : run.rows) file.add(row.tokens, row.time, row.values);
  }
}

std::string prometheus_text(const std::vector<RunSeries>& runs, const std::vector<RunView>& views) {
  Gauges gauges;
  for (size_t i = 0; i < runs.size(); ++i) {
    const RunSeries& run = runs[i];
    const RunView& view = views[i];
    std::string labels = fmt::format("run=\"{}\"", label_text(run.name));
    gauges.add("running", labels, view.status.starts_with(StatusRecord::kRunning) ? 1 : 0);
    for (const SpentView& spent : view.spent) gauges.add("spent_" + spent.what, labels, spent.spent);
    if (view.seconds_left) gauges.add("seconds_left", labels, *view.seconds_left);
    std::map<std::string, std::pair<const SeriesRow*, double>> newest;
    for (const SeriesRow& row : run.rows)
      for (const auto& [name, value] : row.values) newest[name] = {&row, value};
    if (!run.rows.empty()) gauges.add("tokens", labels, static_cast<double>(run.rows.back().tokens));
    for (const auto& [name, of] : newest)
      gauges.add(name, fmt::format("{},stage=\"{}\"", labels, label_text(of.first->place.stage)), of.second);
  }
  return gauges.text();
}

}  // namespace nexus
