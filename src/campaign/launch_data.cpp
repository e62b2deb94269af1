#include "campaign/launch_data.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "comm/progress.h"
#include "core/json_text.h"
#include "core/log.h"
#include "system/progress_bar.h"

namespace nexus {
namespace {

using nlohmann::json;

// Between two meetings of the ranks: short enough that a slow disk is no hang to the watchdog.
constexpr int64_t kRoundBytes = int64_t{1} << 30;
constexpr int64_t kSliceBytes = int64_t{1} << 26;

// The ranks that see the same files as this one, in order. What differs in size, time or inode is another file.
std::vector<int> peers_of(const std::vector<NamedDataSet>& sets, Communicator& world) {
  std::string seen;
  for (const NamedDataSet& each : sets) seen += each.set->stamp() + ";";
  const std::vector<std::string> all = world.all_gather_text(seen);
  std::vector<int> peers;
  for (int rank = 0; rank < world.size(); ++rank)
    if (all[static_cast<size_t>(rank)] == seen) peers.push_back(rank);
  return peers;
}

// This rank's share of the files. What is kept beside them is not read.
class Share {
 public:
  Share(const std::vector<NamedDataSet>& sets, const std::vector<int>& peers, int rank) {
    const auto place = static_cast<size_t>(std::find(peers.begin(), peers.end(), rank) - peers.begin());
    for (size_t i = place; i < sets.size(); i += peers.size()) {
      if (const auto kept = sets[i].set->kept_content())
        contents_[i] = *kept;
      else
        unread_.push_back({i, sets[i].set});
    }
  }

  int64_t unread_bytes() const {
    int64_t sum = 0;
    for (const auto& [index, set] : unread_) sum += set->content_bytes();
    return sum;
  }

  // Reads for a while; false when all is read.
  bool read() {
    for (int64_t left = kRoundBytes; left > 0 && !unread_.empty(); left -= kSliceBytes) {
      const auto [index, set] = unread_.front();
      if (!reader_) reader_ = set->content_reader();
      const bool more = reader_->read(kSliceBytes);
      progress::tick();
      if (more) continue;
      done_bytes_ += reader_->done_bytes();
      contents_[index] = reader_->content();
      set->keep_content(contents_[index]);
      reader_.reset();
      unread_.erase(unread_.begin());
    }
    return !unread_.empty();
  }
  void give_up() { unread_.clear(); }

  int64_t done_bytes() const { return done_bytes_ + (reader_ ? reader_->done_bytes() : 0); }

  std::string str() const {
    json document = json::object();
    for (const auto& [index, content] : contents_)
      document[std::to_string(index)] = {content.digest, content.type, content.facts};
    return json_text(document);
  }

 private:
  std::map<size_t, DataContent> contents_;
  std::vector<std::pair<size_t, const DataSet*>> unread_;
  std::unique_ptr<ContentReader> reader_;
  int64_t done_bytes_ = 0;
};

// Each rank's share is read in rounds, at whose ends the ranks meet.
void read_in_rounds(Share& share, const std::string& reading, Communicator& world) {
  const auto total = static_cast<int64_t>(world.sum(static_cast<double>(share.unread_bytes())));
  if (total == 0) return;
  const progress::Phase phase(reading);
  Progress bar("data digests", total, "bytes");
  std::exception_ptr error;
  for (bool more = true; more;) {
    try {
      more = share.read();
    } catch (...) {
      error = std::current_exception();
      share.give_up();
      more = false;
    }
    more = world.any(more);
    bar.update(static_cast<int64_t>(world.sum(static_cast<double>(share.done_bytes()))));
  }
  world.try_together(reading, [&error] {
    if (error) std::rethrow_exception(error);
  });
}

// What each set's samples are: its bytes, and how they are read.
std::string digests_of(const std::vector<DataContent>& contents) {
  std::string text;
  for (const DataContent& each : contents) text += each.digest + " " + each.type + "\n";
  return text;
}

bool known_and_different(const std::string& a, const std::string& b) {
  return !a.empty() && !b.empty() && a != b;
}

// "<digest> <type>" of each training set; without the types where `with_types` is false.
std::vector<std::string> training_content(const DataIdentity& identity, bool with_types) {
  std::vector<std::string> content = identity.train;
  for (size_t i = 0; with_types && i < content.size(); ++i) content[i] += " " + identity.train_types[i];
  return content;
}

// How the training sets differ from those of before; empty where they do not, as far as is known.
std::string training_difference(const CampaignSpec& spec, const DataIdentity& was, const DataIdentity& is) {
  const bool with_types = was.train_types.size() == was.train.size() && is.train_types.size() == is.train.size();
  const std::vector<std::string> before = training_content(was, with_types), now = training_content(is, with_types);
  if (before.empty() || before == now) return "";
  if (before.size() != now.size()) return fmt::format(": there were {}, there are {}", before.size(), now.size());
  if (std::is_permutation(before.begin(), before.end(), now.begin())) return ": they are in another order";
  const auto index = static_cast<size_t>(std::mismatch(now.begin(), now.end(), before.begin()).first - now.begin());
  return fmt::format(": data.train.{}.path ({}) holds other {}", index, spec.data.train[index].path,
                     workload(spec.model.workload).unit());
}

}  // namespace

LaunchData::LaunchData(const CampaignSpec& spec, const RunData& data, Communicator& world)
    : spec_(spec), sets_(data.named()) {
  world.try_on_rank_0("comparing data and model",
                      [&] { identity_.tokenizer = kind().check_descriptions(sets_, {spec.tokenizer}, spec.model); });
  identity_.tokenizer = world.broadcast_text(identity_.tokenizer);
}

void LaunchData::read_contents(Communicator& world) {
  const std::vector<int> peers = peers_of(sets_, world);
  std::optional<Share> share;
  world.try_together("looking for the digests of the " + kind().files(),
                     [&] { share.emplace(sets_, peers, world.rank()); });
  read_in_rounds(*share, "reading the " + kind().files(), world);
  const std::vector<std::string> shares = world.all_gather_text(share->str());
  contents_.assign(sets_.size(), {});
  for (const int rank : peers) {
    const json theirs = json::parse(shares[static_cast<size_t>(rank)]);
    for (const auto& [index, content] : theirs.items())
      contents_.at(std::stoul(index)) = {content.at(0), content.at(1), content.at(2)};
  }
  const std::string first = world.broadcast_text(digests_of(contents_));
  world.try_together("comparing the " + kind().files(), [&] {
    if (digests_of(contents_) != first)
      throw Error(ErrorKind::kData,
                  fmt::format("this rank's {} hold other {} than those of rank 0", kind().files(), kind().unit()),
                  sets_.front().set->path(), "give every node the same files");
    if (world.rank() == 0) kind().check_contents(sets_, contents_, {spec_.tokenizer}, spec_.model);
  });
  const size_t training = spec_.data.train.size();
  identity_.train.clear();
  identity_.train_types.clear();
  for (size_t i = 0; i < training; ++i) {
    identity_.train.push_back(contents_[i].digest);
    identity_.train_types.push_back(contents_[i].type);
  }
  const DataContent valid = sets_.size() > training ? contents_[training] : DataContent{};
  identity_.valid = valid.digest;
  identity_.valid_type = valid.type;
}

json LaunchData::record() const {
  NX_CHECK(contents_.size() == sets_.size());
  json document = kind().describe(spec_.model);
  document["context"] = spec_.data.context;
  document["train"] = json::array();
  const size_t training = spec_.data.train.size();
  for (size_t i = 0; i < training; ++i) {
    document["train"].push_back(kind().describe(*sets_[i].set, contents_[i]));
    document["train"].back()["weight"] = spec_.data.train[i].weight;
  }
  document["valid"] = sets_.size() > training ? kind().describe(*sets_[training].set, contents_[training]) : json();
  document["tokenizer"] = {{"path", spec_.tokenizer.empty() ? json() : json(spec_.tokenizer)},
                           {"digest", identity_.tokenizer.empty() ? json() : json(identity_.tokenizer)}};
  return document;
}

std::vector<FrozenChange> data_changes(const CampaignSpec& spec, const TrainState& before,
                                       const std::string& index_digest, const DataIdentity& now) {
  const Workload& kind = workload(spec.model.workload);
  std::vector<FrozenChange> changes;
  const std::string difference = training_difference(spec, before.data, now);
  if (!difference.empty() || before.data_digest != index_digest)
    changes.push_back({"data.train", fmt::format("the training {} are not those that this run was started on{}",
                                                 kind.files(), difference)});
  if (known_and_different(before.data.valid, now.valid) ||
      (!now.valid.empty() && known_and_different(before.data.valid_type, now.valid_type)))
    changes.push_back({"data.valid", fmt::format("data.valid ({}) holds other {} than those that this run was "
                                                 "evaluated on: its evaluations would not compare",
                                                 spec.data.valid, kind.unit())});
  if (!before.data.valid.empty() && now.valid.empty())
    changes.push_back({"data.valid",
                       "data.valid names nothing, but this run has been evaluated: it would have no "
                       "further evaluation, nor one that it still owes"});
  if (known_and_different(before.data.tokenizer, now.tokenizer))
    changes.push_back({"tokenizer.path", "the tokenizer is not the one that this run was started with"});
  return changes;
}

DataIdentity updated_identity(const DataIdentity& before, DataIdentity now) {
  if (now.tokenizer.empty()) now.tokenizer = before.tokenizer;
  return now;
}

}  // namespace nexus
