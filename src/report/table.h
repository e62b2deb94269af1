// A table for people: texts in cells, rendered as Markdown, as an HTML fragment or for LaTeX; and the number formats of
// reports.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "report/summary.h"

namespace nexus {

struct Column {
  std::string header;
  bool number = true;  // right-aligned
};

struct Table {
  std::string title;
  std::string definition;  // what the figures mean and where their uncertainty comes from
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // one text per column
};

std::string to_markdown(const Table& table);
// <h2>, <table> and the definition; every text escaped.
std::string to_html(const Table& table);

// A table environment by the rules of booktabs: caption, rows, the definition below.
std::string to_latex(const Table& table);

inline constexpr const char* kNothing = "–";  // the text of a cell that has none

std::string escape_latex(std::string_view text);
std::string escape_html(std::string_view text);
// A field by RFC 4180: quoted where it must be.
std::string escape_csv(std::string_view text);

// "16.48 ± 0.12": as many decimals as two significant digits of the error need. An error of 0 or NaN is left out.
std::string format_with_error(double value, double error);
std::string format_score(const std::optional<Score>& score);  // "–" where there is none
std::string format_flops(double flops);                       // "7.31e17"
// 100 * fraction with one decimal; a dash where there is no bound.
std::string format_percent(double fraction);
// "38.2 % [35.1, 40.9]", "≥ 12.0 % [10.1, –] (baseline: not reached)", or the reason for having no number.
std::string format_saving(const Saving& saving);

}  // namespace nexus
