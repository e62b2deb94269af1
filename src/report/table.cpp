#include "report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace nexus {
namespace {

// A bar would end a Markdown cell.
std::string escape_markdown(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '|') result += '\\';
    result += c == '\n' ? ' ' : c;
  }
  return result;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) line += fmt::format(" {} |", escape_markdown(cell));
  return line + "\n";
}

std::string html_row(const std::vector<std::string>& cells, const std::vector<Column>& columns, const char* tag) {
  const bool is_header = std::string_view(tag) == "th";  // what a reader sorts by (report/html.cpp)
  std::string line = "<tr>";
  for (size_t i = 0; i < cells.size(); ++i)
    line +=
        fmt::format("<{0}{1}>{2}{3}{4}</{0}>", tag, columns[i].number ? " class=\"number\"" : "",
                    is_header ? "<button type=\"button\">" : "", escape_html(cells[i]), is_header ? "</button>" : "");
  return line + "</tr>\n";
}

std::vector<std::string> headers_of(const Table& table) {
  std::vector<std::string> headers;
  for (const Column& column : table.columns) headers.push_back(column.header);
  return headers;
}

std::string format_interval(const Saving& saving) {
  if (!saving.has_interval()) return "(no interval)";
  return fmt::format("[{}, {}]", format_percent(saving.low), format_percent(saving.high));
}

void check_shape(const Table& table) {
  for (const auto& row : table.rows)
    NX_CHECK(row.size() == table.columns.size(), "table '{}': {} cells, {} columns", table.title, row.size(),
             table.columns.size());
}

}  // namespace

std::string to_markdown(const Table& table) {
  check_shape(table);
  std::string text = fmt::format("## {}\n\n{}", table.title, markdown_row(headers_of(table)));
  text += "|";
  for (const Column& column : table.columns) text += column.number ? "---:|" : "---|";
  text += "\n";
  for (const auto& row : table.rows) text += markdown_row(row);
  return text + "\n" + table.definition + "\n";
}

std::string to_html(const Table& table) {
  check_shape(table);
  std::string text = fmt::format("<h2>{}</h2>\n<div class=\"wide\"><table>\n<thead>\n", escape_html(table.title));
  text += html_row(headers_of(table), table.columns, "th") + "</thead>\n<tbody>\n";
  for (const auto& row : table.rows) text += html_row(row, table.columns, "td");
  return text +
         fmt::format("</tbody>\n</table></div>\n<p class=\"definition\">{}</p>\n", escape_html(table.definition));
}

std::string to_latex(const Table& table) {
  check_shape(table);
  std::string kinds;
  for (const Column& column : table.columns) kinds += column.number ? 'r' : 'l';
  const auto row = [](const std::vector<std::string>& cells) {
    std::string line;
    for (const std::string& cell : cells) line += (line.empty() ? "" : " & ") + escape_latex(cell);
    return line + " \\\\\n";
  };
  std::string text =
      fmt::format("\\begin{{table}}\n\\centering\n\\caption{{{}}}\n\\begin{{tabular}}{{{}}}\n\\toprule\n",
                  escape_latex(table.title), kinds);
  text += row(headers_of(table)) + "\\midrule\n";
  for (const auto& cells : table.rows) text += row(cells);
  return text + fmt::format("\\bottomrule\n\\end{{tabular}}\n\n\\footnotesize {}\n\\end{{table}}\n",
                            escape_latex(table.definition));
}

std::string escape_latex(std::string_view text) {
  // Signs of ours that fonts of LaTeX lack, then those that mean something to it.
  static constexpr std::pair<std::string_view, std::string_view> kSigns[] = {{"±", "$\\pm$"},
                                                                             {"†", "$^\\dagger$"},
                                                                             {"‡", "$^\\ddagger$"},
                                                                             {"×", "$\\times$"},
                                                                             {"–", "--"},
                                                                             {"→", "$\\to$"},
                                                                             {"≥", "$\\ge$"},
                                                                             {"\\", "\\textbackslash{}"},
                                                                             {"~", "\\textasciitilde{}"},
                                                                             {"^", "\\textasciicircum{}"},
                                                                             {"\n", " "}};
  std::string result;
  for (size_t at = 0; at < text.size();) {
    const auto* sign =
        std::ranges::find_if(kSigns, [&](const auto& each) { return text.substr(at).starts_with(each.first); });
    if (sign != std::end(kSigns)) {
      result += sign->second;
      at += sign->first.size();
      continue;
    }
    if (std::string_view("&%$#_{}").find(text[at]) != std::string_view::npos) result += '\\';
    result += text[at++];
  }
  return result;
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&': result += "&amp;"; break;
      case '<': result += "&lt;"; break;
      case '>': result += "&gt;"; break;
      case '"': result += "&quot;"; break;
      case '\'': result += "&#39;"; break;
      default: result += c;
    }
  }
  return result;
}

std::string escape_csv(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + "\"";
}

std::string format_with_error(double value, double error) {
  if (!(error > 0)) return fmt::format("{:.4g}", value);
  const int decimals = std::clamp(1 - static_cast<int>(std::floor(std::log10(error))), 0, 6);
  return fmt::format("{:.{}f} ± {:.{}f}", value, decimals, error, decimals);
}

std::string format_score(const std::optional<Score>& score) {
  return score ? format_with_error(score->value, score->se) : kNothing;
}

std::string format_flops(double flops) {
  if (flops == 0) return "0";
  std::string text = fmt::format("{:.2e}", flops);  // "7.31e+17"
  std::erase(text, '+');
  return text;
}

std::string format_percent(double fraction) {
  return std::isfinite(fraction) ? fmt::format("{:.1f}", 100 * fraction) : std::string(kNothing);
}

std::string format_saving(const Saving& saving) {
  switch (saving.kind) {
    case Saving::Kind::kUndetermined: return saving.reason;
    case Saving::Kind::kAtLeast: {
      const std::string low =
          saving.has_interval() ? fmt::format("[{}, –]", format_percent(saving.low)) : format_interval(saving);
      return fmt::format("≥ {} % {} (baseline: not reached)", format_percent(saving.saved), low);
    }
    case Saving::Kind::kExact: break;
  }
  return fmt::format("{} % {}", format_percent(saving.saved), format_interval(saving));
}

}  // namespace nexus
