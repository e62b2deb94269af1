#include "report/report.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/files.h"
#include "core/json_text.h"
#include "core/run_folder.h"
#include "report/curves_json.h"
#include "report/html.h"
#include "report/pictures.h"
#include "report/tables.h"
#include "system/shell_quote.h"

namespace nexus {
namespace {

std::string render_markdown(const ReportData& data, const std::vector<std::string>& warnings) {
  std::vector<std::string> parts = {"# nexus report\n"};
  for (const std::string& sentence : findings(data)) parts.push_back(fmt::format("{}\n", sentence));
  for (const std::string& warning : warnings) parts.push_back(fmt::format("> {}\n", warning));
  for (const Table& table : {comparison_table(data), stage_table(data), growth_table(data), figure_table(data)})
    if (!table.rows.empty()) parts.push_back(to_markdown(table));
  return fmt::format("{}", fmt::join(parts, "\n"));
}

bool has_figures(const ReportData& data) {
  return !figure_table(data).rows.empty();
}

std::vector<std::string> commands_of(const ReportOptions& options, const std::string& folder,
                                     const std::vector<Picture>& pictures) {
  std::vector<std::string> commands;
  if (!options.command.empty()) commands.push_back(shell_command(options.command));
  for (const Picture& picture : pictures)
    commands.push_back(fmt::format("python3 {} {} --out {}",
                                   shell_quote(fmt::format("{}/plot_{}.py", analysis_folder(), picture.name)),
                                   shell_quote(folder + "/curves.json"), shell_quote(folder)));
  return commands;
}

}  // namespace

ReportResult write_report(const ReportOptions& options) {
  ReportResult result;
  result.data = summarise(options.summary);
  result.folder = options.out.empty() ? RunFolder{options.summary.folders.front()}.report_folder() : options.out;
  result.warnings = result.data.warnings;
  make_folders(result.folder);
  const auto path = [&result](const char* name) { return result.folder + "/" + name; };
  write_file_durably(path("tables.csv"), to_csv(result.data));
  const bool with_figures = has_figures(result.data);
  const std::vector<Picture> pictures = all_pictures(result.data.words, with_figures);
  std::error_code ignored;
  for (const char* name : {"figures.csv", "figures.svg", "figures.png"})  // an older report's must not pass for ours
    std::filesystem::remove(path(name), ignored);
  if (with_figures) write_file_durably(path("figures.csv"), figures_csv(result.data));
  write_file_durably(path("curves.json"), json_text(curves_json(result.data), 1) + "\n");
  if (options.pictures) result.pictures = draw_pictures(pictures, path("curves.json"), result.folder, result.warnings);
  write_file_durably(path("tables.md"), render_markdown(result.data, result.warnings));
  const HtmlPage page{&result.data,    result.folder,  result.pictures, commands_of(options, result.folder, pictures),
                      result.warnings, options.version};
  write_file_durably(path("report.html"), render_html(page));
  return result;
}

}  // namespace nexus
