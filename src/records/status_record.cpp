#include "records/status_record.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string_view>

#include "core/files.h"

namespace nexus {
namespace {

constexpr std::string_view kBetween = " | ";

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c < 128 && (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.');
  });
}

// What follows `name` and a space, where the group begins so.
std::optional<std::string_view> value_of(std::string_view group, std::string_view name) {
  if (!group.starts_with(name) || group.size() <= name.size() || group[name.size()] != ' ') return std::nullopt;
  return group.substr(name.size() + 1);
}

std::optional<int64_t> number_of(std::string_view text) {
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = parsed.ec == std::errc() && parsed.ptr == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

// "345" or "345 restart 1".
bool read_job(std::string_view text, SlurmJob& job) {
  const size_t space = text.find(' ');
  const auto id = number_of(text.substr(0, space));
  const auto tail = space == text.npos ? std::nullopt : value_of(text.substr(space + 1), "restart");
  const auto restart = tail ? number_of(*tail) : std::nullopt;
  if (!id || (space != text.npos && !restart)) return false;
  job.id = std::to_string(*id);
  job.restart = restart.value_or(0);
  return true;
}

enum class Group { kReason, kNode, kExit, kGeneration, kJob, kNone };  // in the order of the line

// Which of the groups that status_text writes this one is; its value goes into `status`, where `end` stands for its
// end.
Group read_group(std::string_view group, StatusRecord& status, LaunchEnd& end) {
  if (const auto text = value_of(group, "reason"); text && is_word(*text)) return end.reason = *text, Group::kReason;
  if (const auto text = value_of(group, "node"); text && is_word(*text)) return end.suspect_node = *text, Group::kNode;
  if (const auto text = value_of(group, "exit"); text && number_of(*text))
    return end.exit = static_cast<ExitCode>(*number_of(*text)), Group::kExit;
  if (const auto text = value_of(group, "generation"); text && number_of(*text))
    return status.launch.generation = *number_of(*text), Group::kGeneration;
  if (const auto text = value_of(group, "job"); text && read_job(*text, status.launch.job)) return Group::kJob;
  return Group::kNone;
}

}  // namespace

std::string status_text(const StatusRecord& status) {
  std::string line = status.text;
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (status.end) {
    if (is_word(status.end->reason)) line += fmt::format("{}reason {}", kBetween, status.end->reason);
    if (is_word(status.end->suspect_node)) line += fmt::format("{}node {}", kBetween, status.end->suspect_node);
    line += fmt::format("{}exit {}", kBetween, to_int(status.end->exit));
  }
  line += fmt::format("{}generation {}", kBetween, status.launch.generation);
  const SlurmJob& job = status.launch.job;
  if (job) line += fmt::format("{}job {} restart {}", kBetween, job.id, job.restart);
  return line + "\n";
}

// From the end on, and each group once: what people's text says in our words is not ours.
StatusRecord parse_status(const std::string& text) {
  StatusRecord status;
  std::string_view line = std::string_view(text).substr(0, text.find('\n'));
  Group behind = Group::kNone;
  while (true) {
    const size_t between = line.rfind(kBetween);
    StatusRecord with = status;
    LaunchEnd end = status.end.value_or(LaunchEnd{});
    const Group group = read_group(between == line.npos ? line : line.substr(between + kBetween.size()), with, end);
    if (group >= behind || (group < Group::kExit && !status.end)) break;
    if (group == Group::kExit || status.end) with.end = end;
    status = with;
    behind = group;
    line = line.substr(0, between == line.npos ? 0 : between);
  }
  status.text = line;
  return status;
}

std::optional<StatusRecord> read_status(const RunFolder& run) {
  if (!path_exists(run.status())) return std::nullopt;
  return parse_status(read_text_file(run.status()));
}

}  // namespace nexus
