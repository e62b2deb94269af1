// nexus top RUN...: one live screen for several runs.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <thread>

#include "cli/commands.h"
#include "cli/option_checks.h"
#include "monitor/top.h"
#include "monitor/view_runs.h"
#include "system/terminal.h"

namespace nexus {
namespace {

using std::chrono::seconds;

constexpr seconds kFrame{2}, kAskAgain{30};  // Slurm, and whether processes elsewhere live

struct TopArguments {
  std::vector<std::string> runs;
  bool once = false;
};

std::string frame_of(const std::vector<std::string>& runs, const RunsAlive& alive) {
  const std::vector<RunView> views = view_runs(runs, alive);
  std::vector<TopRun> shown;
  for (size_t i = 0; i < runs.size(); ++i) {
    shown.push_back({views[i], read_series_end(runs[i])});
    shown.back().view.run = runs[i];  // as it was named
  }
  return top_text(shown, terminal_columns(STDOUT_FILENO));
}

// Over the last frame, line by line, so that nothing flickers and no state of the terminal is changed: Ctrl-C may come
// at any moment.
void draw(const std::string& frame) {
  std::string text = "\033[H";
  for (const char c : frame) text += c == '\n' ? std::string("\033[K\n") : std::string(1, c);
  std::fputs((text + "\033[J").c_str(), stdout);
  std::fflush(stdout);
}

int top(const TopArguments& arguments) {
  const std::vector<std::string>& runs = arguments.runs;
  const auto ask = [runs] { return find_alive(runs, queue_if_any()); };
  if (arguments.once || !is_terminal(STDOUT_FILENO)) {
    std::fputs(frame_of(runs, ask()).c_str(), stdout);
    return 0;
  }
  RunsAlive alive{{}, std::vector<bool>(runs.size(), false)};
  std::future<RunsAlive> answer = std::async(std::launch::async, ask);
  auto asked = std::chrono::steady_clock::now();
  std::fputs("\033[2J", stdout);
  while (true) {
    draw(frame_of(runs, alive));
    const auto now = std::chrono::steady_clock::now();
    if (answer.valid() && answer.wait_for(kFrame) == std::future_status::ready) alive = answer.get();
    if (!answer.valid() && now - asked >= kAskAgain) {
      answer = std::async(std::launch::async, ask);
      asked = now;
    }
    if (!answer.valid()) std::this_thread::sleep_for(kFrame);
  }
}

}  // namespace

void add_top_command(CLI::App& app, Action& action) {
  const auto arguments = std::make_shared<TopArguments>();
  CLI::App* command = app.add_subcommand("top", "one live screen for several runs");
  command->add_option("RUN", arguments->runs, "run folders")->required()->transform(path_to_read());
  command->add_flag("--once", arguments->once, "one picture, as where stdout is no terminal");
  command->callback([arguments, &action] { action = [arguments] { return top(*arguments); }; });
}

}  // namespace nexus
