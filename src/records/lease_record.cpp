#include "records/lease_record.h"

#include <cmath>

#include "records/fields.h"

namespace nexus {
namespace {

constexpr auto kLeaseFields = [](auto& fields, auto& r) {
  fields.newer("generation", r.generation);  // the file's name says it, too
  fields.field("host", r.host);
  fields.field("machine", r.machine);
  fields.field("pid", r.pid);
  fields.field("start_ticks", r.start_ticks);
  fields.field("job", r.job.id);
  fields.field("restart", r.job.restart);
  fields.field("ranks", r.ranks);
  fields.field("nodes", r.nodes);
  fields.field("seconds", r.seconds);
  fields.field("save_seconds", r.save_seconds);
  fields.field("renewals", r.renewals);
  fields.field("commit", r.found);
  fields.newer("commits", r.commits);
  fields.field("released", r.released);
};

constexpr auto kEndFields = [](auto& fields, auto& exit, auto& end) {
  fields.optional("exit", exit);
  fields.optional("reason", end.reason);
  fields.optional("suspect_node", end.suspect_node);
};

}  // namespace

nlohmann::json to_json(const LeaseRecord& record) {
  nlohmann::json document;
  FieldWriter fields(document);
  kLeaseFields(fields, record);
  if (record.end) {
    const std::optional<int64_t> exit = to_int(record.end->exit);
    kEndFields(fields, exit, *record.end);
  }
  return document;
}

LeaseRecord lease_from_json(const JsonRecord& document) {
  LeaseRecord record;
  FieldReader fields(document);
  kLeaseFields(fields, record);
  std::optional<int64_t> exit;
  LaunchEnd end;
  kEndFields(fields, exit, end);
  if (exit) record.end = {static_cast<ExitCode>(*exit), end.reason, end.suspect_node};
  if (!std::isfinite(record.seconds) || !std::isfinite(record.save_seconds))
    throw Error(ErrorKind::kData, "malformed lease: its seconds are no number", document.where());
  return record;
}

}  // namespace nexus
