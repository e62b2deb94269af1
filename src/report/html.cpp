#include "report/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/files.h"
#include "core/json_text.h"
#include "core/units.h"
#include "report/pictures.h"
#include "report/tables.h"

namespace nexus {
namespace {

// The pictures' ink and grid colours follow the page's theme: analysis/style.py draws in exactly these.
constexpr const char* kInk = "#1b1f24";
constexpr const char* kGrid = "#d8dee4";
constexpr const char* kFirstColour = "#0072b2";  // too dark for the dark theme

constexpr const char* kStyle = R"css(
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4; --panel: #f6f8fa;
        --accent: #0072b2; --warn: #fff4d6; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181c; --ink: #e6e9ed; --soft: #9aa4af; --line: #363d46; --panel: #1d2127; --accent: #3d9be0;
          --warn: #3a3115; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
       font: 16px/1.55 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .7rem; }
.lead { font-size: 1.15rem; margin: .2rem 0; }
.soft, .definition, figcaption { color: var(--soft); font-size: .88rem; }
.definition, figcaption { max-width: 62rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .9rem; margin: 1.6rem 0 0; }
.card { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.card .soft { font-size: .82rem; }
.card b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
.card .note { display: block; background: var(--warn); border-radius: .3rem; padding: .1rem .4rem; margin-top: .3rem;
              font-size: .82rem; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .86rem; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .7rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { white-space: nowrap; }
th { background: var(--panel); font-weight: 600; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
.number { text-align: right; }
tbody tr:last-child td { border-bottom: 0; }
figure { margin: 0; overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; max-width: 62rem; min-width: 54rem; }
figcaption { margin-top: .5rem; }
.warnings { background: var(--warn); border-radius: .6rem; padding: .7rem 1rem; margin-top: 1.4rem; }
.warnings ul { margin: .2rem 0 0; padding-left: 1.2rem; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem;
      overflow-x: auto; font-size: .82rem; }
h1, h2, .lead, .card, .warnings, summary, figcaption, .definition { overflow-wrap: anywhere; }
summary { cursor: pointer; }
@media (max-width: 40rem) { main { padding: 1.2rem .9rem 3rem; } }
@media print { main { max-width: none; padding: 0; } figure, table { break-inside: avoid; } }
)css";

// A click on a header sorts its table, a second one the other way round: numbers as such (16.48 ± 0.12,
// 439.6M, 7.31e17, 0:06:49), cells without one at the end.
constexpr const char* kScript = R"js(
"use strict";
const scale = {K: 1e3, k: 1e3, M: 1e6, B: 1e9, T: 1e12};
function key(text) {
  const time = text.match(/^(?:(\d+)d )?(\d+):(\d\d):(\d\d)/);
  if (time) return (+(time[1] || 0) * 24 + +time[2]) * 3600 + +time[3] * 60 + +time[4];
  const number = text.match(/[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?/);
  return number ? +number[0] * (scale[text[number.index + number[0].length]] || 1) : NaN;
}
for (const table of document.querySelectorAll("table"))
  table.querySelectorAll("th").forEach((header, column) => header.querySelector("button").addEventListener("click", () => {
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const text = row => row.cells[column].textContent;
    const numbers = header.classList.contains("number");
    const compare = (a, b) => {
      if (!numbers) return sign * text(a).localeCompare(text(b));
      const x = key(text(a)), y = key(text(b));
      return isNaN(x) || isNaN(y) ? isNaN(x) - isNaN(y) : sign * (x - y);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }));
)js";

// The page asks nobody for anything, whatever stands in it.
constexpr const char* kPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

std::string replace_all(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

// The <svg> element alone, in the page's colours.
std::string inline_svg(const std::string& path, const std::string& title) {
  const std::string text = read_text_file(path);
  const size_t begin = text.find("<svg");
  const size_t end = text.rfind("</svg>");
  if (begin == std::string::npos || end == std::string::npos)
    throw Error(ErrorKind::kData, "no SVG picture", path, "remove the file and run the report again");
  std::string svg = text.substr(begin, end + 6 - begin);
  svg = replace_all(std::move(svg), kInk, "currentColor");
  svg = replace_all(std::move(svg), kGrid, "var(--line)");
  svg = replace_all(std::move(svg), kFirstColour, "var(--accent)");
  return svg.insert(4, fmt::format(" role=\"img\" aria-label=\"{}\"", escape_html(title)));
}

std::string figure(const HtmlPage& page, const std::string& name) {
  if (std::find(page.pictures.begin(), page.pictures.end(), name) == page.pictures.end()) return "";
  for (const Picture& picture : all_pictures(page.data->words, /*with_figures=*/true))
    if (picture.name == name)
      return fmt::format(
          "<h2>{}</h2>\n<figure>\n{}\n<figcaption>{}</figcaption>\n</figure>\n", escape_html(picture.title),
          inline_svg(fmt::format("{}/{}.svg", page.folder, name), picture.title), escape_html(picture.definition));
  NX_CHECK(false, "unknown picture {}", name);
  return "";
}

// Figures stand side by side in the cards: where one does not compare, its card says so.
std::string comparison_note(const ReportData& data, const RunSummary& run) {
  if (run.incomparable.empty()) return "";
  return fmt::format("<span class=\"note\">does not compare with {}: {}</span>",
                     escape_html(data.runs[*data.baseline].label), escape_html(run.incomparable));
}

std::string cards(const ReportData& data) {
  std::string text = "<div class=\"cards\">\n";
  for (size_t i = 0; i < data.runs.size(); ++i) {
    const RunSummary& run = data.runs[i];
    text += fmt::format(
        "<div class=\"card\"><span class=\"soft\">{}{}</span><b>{} {}</b><span class=\"soft\">{} "
        "parameters, {} FLOPs</span>{}</div>\n",
        escape_html(run.label), data.baseline == i ? " (baseline)" : "", data.words.symbol(),
        escape_html(format_score(run.final_score)), format_count(run.final_params), format_flops(run.total_flops),
        comparison_note(data, run));
  }
  return text + "</div>\n";
}

std::string warning_box(const std::vector<std::string>& warnings) {
  if (warnings.empty()) return "";
  std::string text = "<div class=\"warnings\"><b>Mind</b><ul>\n";
  for (const std::string& warning : warnings) text += fmt::format("<li>{}</li>\n", escape_html(warning));
  return text + "</ul></div>\n";
}

// What each run recorded about itself: versions, hosts, hashes, parents.
std::string facts(const ReportData& data) {
  std::string text = "<h2>Where the figures come from</h2>\n";
  for (size_t i = 0; i < data.runs.size(); ++i)
    text += fmt::format("<details><summary>{} <span class=\"soft\">{}{}</span></summary><pre>{}</pre></details>\n",
                        escape_html(data.runs[i].label), escape_html(data.runs[i].folder),
                        data.runs[i].status.empty() ? "" : fmt::format(": {}", escape_html(data.runs[i].status)),
                        escape_html(json_text(data.histories[i].facts, 2)));
  return text;
}

std::string repeat_section(const HtmlPage& page) {
  std::string text =
      fmt::format("<h2>Repeat it</h2>\n<p class=\"soft\">nexus {}</p>\n<pre>", escape_html(page.version));
  for (const std::string& command : page.commands) text += escape_html(command) + "\n";
  return text + "</pre>\n";
}

std::string growth_section(const HtmlPage& page) {
  const Table table = growth_table(*page.data);
  return table.rows.empty() ? "" : to_html(table) + figure(page, "growth");
}

std::string figure_section(const HtmlPage& page) {
  const Table table = figure_table(*page.data);
  return table.rows.empty() ? "" : to_html(table) + figure(page, "figures");
}

constexpr const char* kWhatIntervalsLeaveOut =
    "Intervals hold the noise of evaluating on these {} and nothing else: another seed moves a small training by more, "
    "and so does rounding where the learning rate is too high. Repeat runs with several seeds before you build on a "
    "figure.";

std::string finding(const WorkloadWords& words, const RunSummary& run, const RunSummary& baseline) {
  const Saving& saving = *run.saving;
  const std::string target = fmt::format("{} {:.4g}", words.headline, words.value(saving.target_loss));
  if (saving.kind == Saving::Kind::kUndetermined)
    return fmt::format("{} against {}: no saving can be told ({}).", run.label, baseline.label, saving.reason);
  if (saving.kind == Saving::Kind::kAtLeast)
    return fmt::format("{} reaches {}, which {} never does, with {} % less compute than {} spent in all.", run.label,
                       target, baseline.label, format_percent(saving.saved), baseline.label);
  const bool less = saving.saved >= 0;
  const double share = less ? saving.saved : -saving.saved;
  const double low = less ? saving.low : -saving.high, high = less ? saving.high : -saving.low;
  const std::string interval =
      saving.has_interval() ? fmt::format(" [{}, {}]", format_percent(low), format_percent(high)) : "";
  return fmt::format("{} needs {} %{} {} compute than {} to reach {}{}.", run.label, format_percent(share), interval,
                     less ? "less" : "more", baseline.label, target,
                     saving.has_interval() ? "" : " (one validation " + words.one_sample() + ": no interval)");
}

}  // namespace

std::vector<std::string> findings(const ReportData& data) {
  std::vector<std::string> result;
  bool has_interval = false;
  for (const RunSummary& run : data.runs)
    if (run.saving) {
      result.push_back(finding(data.words, run, data.runs[*data.baseline]));
      has_interval = has_interval || run.saving->has_interval();
    } else if (!run.incomparable.empty())
      result.push_back(fmt::format("{} against {}: no saving is computed ({}).", run.label,
                                   data.runs[*data.baseline].label, run.incomparable));
  if (has_interval) result.push_back(fmt::format(kWhatIntervalsLeaveOut, data.words.samples));
  return result;
}

std::string html_document(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}</style>\n</head>\n<body>\n<main>\n{}</main>\n<script>{}</script>\n</body>\n</html>\n",
      kPolicy, escape_html(title), kStyle, body, kScript);
}

std::string render_html(const HtmlPage& page) {
  const ReportData& data = *page.data;
  std::string labels;
  for (const RunSummary& run : data.runs) labels += (labels.empty() ? "" : " · ") + run.label;
  std::string html = fmt::format("<h1>nexus report</h1>\n<p class=\"soft\">{}</p>\n", escape_html(labels));
  for (const std::string& sentence : findings(data))
    html += fmt::format("<p class=\"lead\">{}</p>\n", escape_html(sentence));
  html += cards(data) + warning_box(page.warnings);
  html += figure(page, headline_picture(data.words)) + to_html(comparison_table(data)) + figure(page, "compute_saved");
  html += to_html(stage_table(data)) + growth_section(page) + figure_section(page) + figure(page, "loss_curves");
  html += facts(data) + repeat_section(page);
  return html_document("nexus report: " + labels, html);
}

}  // namespace nexus
