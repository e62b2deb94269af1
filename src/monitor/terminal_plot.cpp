#include "monitor/terminal_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace nexus {
namespace {

constexpr std::array<int, 6> kColors = {34, 31, 32, 35, 36, 33};  // blue, red, green, magenta, cyan, yellow
constexpr int kLabelColumns = 10;

std::string paint(const std::string& text, size_t curve, bool color) {
  return color ? fmt::format("\033[{}m{}\033[0m", kColors[curve % kColors.size()], text) : text;
}

void put_utf8(std::string& text, uint32_t code) {  // of three bytes, as Braille and block elements are
  text += static_cast<char>(0xe0 | code >> 12);
  text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
  text += static_cast<char>(0x80 | (code & 0x3f));
}

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  bool log = false;

  bool takes(double value) const { return std::isfinite(value) && (!log || value > 0); }
  double scale(double value) const { return log ? std::log(value) : value; }
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  double share(double value) const {
    const double span = scale(high) - scale(low);
    return span > 0 ? (scale(value) - scale(low)) / span : 0.5;
  }
};

// Points of a picture, two by four in a character.
class Canvas {
 public:
  Canvas(int columns, int rows) : columns_(columns), cells_(static_cast<size_t>(columns * rows)) {}

  int width() const { return 2 * columns_; }
  int height() const { return 4 * static_cast<int>(cells_.size()) / columns_; }

  void set(int x, int y, size_t curve) {                                                  // from the lower left
    constexpr int kBit[4][2] = {{0x40, 0x80}, {0x04, 0x20}, {0x02, 0x10}, {0x01, 0x08}};  // of U+2800, lowest row first
    const int row = (height() - 1 - y) / 4;
    Cell& cell = cells_[static_cast<size_t>(row * columns_ + x / 2)];
    cell.dots |= kBit[y % 4][x % 2];
    cell.curve = curve;
  }

  void line(int x0, int y0, int x1, int y1, size_t curve) {
    const int steps = std::max({std::abs(x1 - x0), std::abs(y1 - y0), 1});
    for (int i = 0; i <= steps; ++i) {
      const double t = static_cast<double>(i) / steps;
      set(static_cast<int>(std::lround(x0 + t * (x1 - x0))), static_cast<int>(std::lround(y0 + t * (y1 - y0))), curve);
    }
  }

  std::string row_text(int row, bool letters, bool color) const {
    std::string text;
    for (int column = 0; column < columns_; ++column) {
      const Cell& cell = cells_[static_cast<size_t>(row * columns_ + column)];
      if (cell.dots == 0) {
        text += ' ';
        continue;
      }
      std::string mark;
      if (letters)
        mark = static_cast<char>('a' + cell.curve % 26);
      else
        put_utf8(mark, 0x2800U + static_cast<uint32_t>(cell.dots));
      text += paint(mark, cell.curve, color);
    }
    return text;
  }

 private:
  struct Cell {
    int dots = 0;
    size_t curve = 0;  // the last that was drawn here
  };
  int columns_;
  std::vector<Cell> cells_;
};

std::string legend_of(const std::vector<PlotCurve>& curves, bool color) {
  std::string text;
  for (size_t i = 0; i < curves.size(); ++i)
    text += "  " + paint(color ? "━ " + curves[i].label
                               : fmt::format("{} {}", static_cast<char>('a' + i % 26), curves[i].label),
                         i, color);
  return text;
}

}  // namespace

std::string plot_text(const std::vector<PlotCurve>& curves, const PlotOptions& options) {
  const int columns = std::max(options.width, 30) - kLabelColumns - 2, rows = std::max(options.height, 6) - 3;
  Range x, y;
  x.log = options.log_x;
  y.log = options.log_y;
  for (const PlotCurve& curve : curves)
    for (const auto& [at, value] : curve.points)
      if (x.takes(at) && y.takes(value)) x.add(at), y.add(value);
  if (x.low > x.high) return options.title + ": nothing to plot\n";
  const bool letters = curves.size() > 1 && !options.color;
  Canvas canvas(columns, rows);
  for (size_t i = 0; i < curves.size(); ++i) {
    int last_x = -1, last_y = 0;
    for (const auto& [at, value] : curves[i].points) {
      if (!x.takes(at) || !y.takes(value)) continue;
      const int here_x = static_cast<int>(std::lround(x.share(at) * (canvas.width() - 1)));
      const int here_y = static_cast<int>(std::lround(y.share(value) * (canvas.height() - 1)));
      if (last_x < 0)
        canvas.set(here_x, here_y, i);
      else
        canvas.line(last_x, last_y, here_x, here_y, i);
      last_x = here_x, last_y = here_y;
    }
  }
  std::string text = options.title + (curves.size() > 1 ? legend_of(curves, options.color) : "") + "\n";
  for (int row = 0; row < rows; ++row) {
    const std::string label = row == 0          ? fmt::format("{:.4g}", y.high)
                              : row == rows - 1 ? fmt::format("{:.4g}", y.low)
                                                : "";
    text += fmt::format("{:>{}} │{}", label, kLabelColumns, canvas.row_text(row, letters, options.color));
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
  }
  text += std::string(kLabelColumns + 1, ' ') + "└";
  for (int column = 0; column < columns; ++column) text += "─";
  const std::string low = fmt::format("{:.4g}", x.low), high = fmt::format("{:.4g}", x.high);
  const std::string middle = options.x_label;
  const int room = columns - columns_of(low) - columns_of(high);
  const std::string between = fit("", std::max(1, (room - columns_of(middle)) / 2));
  text += fmt::format("\n{}{}{}{}", std::string(kLabelColumns + 2, ' '), low, between, middle);
  text += fit("", std::max(1, room - columns_of(between) - columns_of(middle))) + high + "\n";
  return text;
}

std::string sparkline(const std::vector<double>& values, int width) {
  std::vector<double> finite;
  for (const double value : values)
    if (std::isfinite(value)) finite.push_back(value);
  const size_t parts = std::min(finite.size(), static_cast<size_t>(std::max(width, 0)));
  std::vector<double> means(parts);
  for (size_t i = 0; i < parts; ++i) {
    const size_t begin = i * finite.size() / parts, end = (i + 1) * finite.size() / parts;
    for (size_t k = begin; k < end; ++k) means[i] += finite[k] / static_cast<double>(end - begin);
  }
  Range range;
  for (const double mean : means) range.add(mean);
  std::string text;
  for (const double mean : means) put_utf8(text, 0x2581U + static_cast<uint32_t>(std::lround(7 * range.share(mean))));
  return text;
}

int columns_of(const std::string& text) {
  return static_cast<int>(std::ranges::count_if(text, [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

std::string fit(const std::string& text, int columns) {
  std::string fitted;
  int count = 0;
  for (const char c : text) {
    if ((static_cast<uint8_t>(c) & 0xc0) != 0x80 && ++count > columns) break;
    fitted += c;
  }
  return fitted + std::string(static_cast<size_t>(std::max(0, columns - columns_of(fitted))), ' ');
}

}  // namespace nexus
