// Curves as characters: of Braille patterns (2 x 4 points each), for terminals and logs.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace nexus {

struct PlotCurve {
  std::string label;
  std::vector<std::pair<double, double>> points;  // (x, y); what is not finite is left out
};

struct PlotOptions {
  std::string title, x_label;
  int width = 80, height = 20;        // characters of the whole picture, at least 30 x 6
  bool log_x = false, log_y = false;  // points at or below 0 are left out then
  bool color = false;                 // ANSI; without it several curves are drawn in letters, a for the first
};

// Lines between neighbouring points, axes with the ends of their ranges, a legend of more than one curve. A picture
// without points says so.
std::string plot_text(const std::vector<PlotCurve>& curves, const PlotOptions& options);

// Eight heights, one character for each of `width` equal parts of `values` (their mean), lowest to highest; shorter
// where there are fewer values, empty without any.
std::string sparkline(const std::vector<double>& values, int width);

// How many columns a text takes in which every code point takes one, and the text cut or filled with blanks to so many.
int columns_of(const std::string& text);
std::string fit(const std::string& text, int columns);

}  // namespace nexus
