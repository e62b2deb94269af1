#include "comm/communicator.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <utility>

namespace nexus {
namespace {

struct Failure {
  ErrorKind kind;
  std::string node, text;  // node: Error::suspect_node
};

Failure describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error& e) {
    return {e.kind(), e.suspect_node(), e.what()};
  } catch (const std::exception& e) {
    return {ErrorKind::kInternal, "", e.what()};
  }
}

// "0,2": the ranks whose text is another one.
std::string ranks_other_than(const std::vector<std::string>& texts, const std::string& text) {
  std::string ranks;
  for (size_t r = 0; r < texts.size(); ++r)
    if (texts[r] != text) ranks += fmt::format("{}{}", ranks.empty() ? "" : ",", r);
  return ranks;
}

}  // namespace

Communicator::Request::~Request() {
  // While an error unwinds, the other ranks may never join this collective: the job is about to be aborted.
  if (!wait_ || std::uncaught_exceptions() > 0) return;
  try {
    wait();
  } catch (...) {  // a destructor may not throw; the next collective reports the broken communicator
  }
}

Communicator::Request::Request(Request&& other) noexcept
    : wait_(std::exchange(other.wait_, {})), poke_(std::exchange(other.poke_, {})) {}

Communicator::Request& Communicator::Request::operator=(Request&& other) noexcept {
  std::swap(wait_, other.wait_);
  std::swap(poke_, other.poke_);
  return *this;
}

void Communicator::Request::wait() {
  poke_ = {};
  if (auto wait = std::exchange(wait_, {})) wait();
}

void Communicator::Request::poke() {
  if (poke_) poke_();
}

bool Communicator::any(bool mine) {
  return sum(mine ? 1.0 : 0.0) > 0;
}

double Communicator::sum(double mine) {
  sum(std::span<double>(&mine, 1));
  return mine;
}

double Communicator::max(double mine) {
  double best = mine;
  for (const std::string& bytes : all_gather_text(std::string(reinterpret_cast<const char*>(&mine), sizeof mine))) {
    double theirs = 0;
    std::memcpy(&theirs, bytes.data(), sizeof theirs);
    best = std::max(best, theirs);
  }
  return best;
}

std::string Communicator::broadcast_text(const std::string& text, int root) {
  auto size_bytes = static_cast<int64_t>(text.size());
  broadcast(&size_bytes, sizeof size_bytes, root);
  std::string result = text;
  result.resize(static_cast<size_t>(size_bytes));
  broadcast(result.data(), size_bytes, root);
  return result;
}

std::optional<RankText> first_text(const std::vector<std::string>& texts) {
  for (size_t rank = 0; rank < texts.size(); ++rank)
    if (!texts[rank].empty()) return RankText{rank, texts[rank]};
  return std::nullopt;
}

void Communicator::try_together(const std::string& phase, const std::function<void()>& work) {
  std::exception_ptr error;
  try {
    work();
  } catch (...) {
    if (size() == 1) throw;
    error = std::current_exception();
  }
  if (!any(error != nullptr)) return;
  std::string mine;
  if (error) {
    const Failure failure = describe(error);
    mine = fmt::format("{:02}{}\n{}", static_cast<int>(failure.kind), failure.node, failure.text);
  }
  const std::vector<std::string> all = all_gather_text(mine);
  const std::string first = first_text(all)->text;
  const size_t node_end = first.find('\n');
  Error agreed(static_cast<ErrorKind>(std::stoi(first.substr(0, 2))),
               fmt::format("{} failed on rank {}: {}", phase, ranks_other_than(all, ""), first.substr(node_end + 1)));
  agreed.set_suspect_node(first.substr(2, node_end - 2));
  throw agreed;
}

void Communicator::try_on_rank_0(const std::string& phase, const std::function<void()>& work) {
  try_together(phase, [&] {
    if (rank() == 0) work();
  });
}

void Communicator::require_equal(const std::string& what, const std::string& mine) {
  const std::vector<std::string> all = all_gather_text(mine);
  const std::string ranks = ranks_other_than(all, all[0]);
  if (!ranks.empty())
    throw Error(ErrorKind::kComm, fmt::format("ranks disagree on {}", what),
                fmt::format("rank {} against rank 0", ranks),
                "start every rank with the same command, files and nexus build");
}

}  // namespace nexus
