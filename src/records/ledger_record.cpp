#include "records/ledger_record.h"

#include "records/fields.h"

namespace nexus {
namespace {

using nlohmann::json;

constexpr auto kStageFields = [](auto& fields, auto& r) {
  list_stage(fields, r);
  fields.newer("step", r.step);
  fields.field("arch", r.arch);
  fields.field("params", r.params);
  fields.field("flops_per_token", r.flops_per_token);
  fields.field("flops_def", r.flops_def);
  fields.field("tokens_planned", r.tokens_planned);
  fields.field("steps", r.steps);
  fields.newer("model", r.model);
  fields.field("ranks", r.ranks);
};

constexpr auto kGrowthFields = [](auto& fields, auto& r) {
  list_stage(fields, r);
  fields.newer("step", r.step);
  fields.field("from_stage", r.from_stage);
  fields.field("params_before", r.params_before);
  fields.field("params_after", r.params_after);
  fields.field("init", r.init);
  fields.field("moments", r.moments);
  fields.field("max_abs_dlogit", r.max_abs_dlogit);
  fields.field("rel_dlogit", r.rel_dlogit);
  fields.field("dloss", r.dloss);
  fields.field("new_params", r.new_params);
  fields.field("dead_new_params", r.dead_new_params);
  fields.newer("unmoved_new_params", r.unmoved_new_params);
  fields.field("dead_blocks", r.dead_blocks);
};

constexpr auto kCommitFields = [](auto& fields, auto& r) {
  list_place(fields, r);
  fields.field("steps", r.steps);
  fields.field("stage_tokens", r.stage_tokens);
  fields.field("stage_flops", r.stage_flops);
  fields.field("stage_seconds", r.stage_seconds);
  fields.field("stage_rank_seconds", r.stage_rank_seconds);
  fields.field("total_tokens", r.total_tokens);
  fields.field("total_flops", r.total_flops);
  fields.field("inherited_tokens", r.inherited_tokens);
  fields.field("inherited_flops", r.inherited_flops);
  fields.newer("path", r.path);
};

json placed(const char* kind, const RecordPlace& place) {
  json document{{"kind", kind}};
  FieldWriter fields(document);
  list_place(fields, place);
  return document;
}

json with_job(json document, const SlurmJob& job) {
  document["job"] = job.id;
  document["restart"] = job.restart;
  return document;
}

}  // namespace

json to_json(const StageRecord& record) {
  return write_record(record, kStageFields);
}
StageRecord stage_from_json(const JsonRecord& line) {
  return read_record<StageRecord>(line, kStageFields);
}

json to_json(const GrowthRecord& record) {
  return write_record(record, kGrowthFields);
}
GrowthRecord growth_from_json(const JsonRecord& line) {
  return read_record<GrowthRecord>(line, kGrowthFields);
}

json to_json(const CommitRecord& record) {
  return write_record(record, kCommitFields);
}
CommitRecord commit_from_json(const JsonRecord& line) {
  return read_record<CommitRecord>(line, kCommitFields);
}

json begin_record(const SlurmJob& job) {
  return with_job({{"kind", kBeginKind}}, job);
}
json resume_record(const RecordPlace& place, const SlurmJob& job) {
  return with_job(placed(kResumeKind, place), job);
}
json done_record(const RecordPlace& place) {
  return placed(kDoneKind, place);
}
json change_record(const RecordPlace& place, const std::string& key, const std::string& text) {
  json document = placed("change", place);
  document["key"] = key;
  document["change"] = text;
  return document;
}
json spent_record(const RecordPlace& place, const json& figures) {
  json document = placed("spent", place);
  document.update(figures);
  return document;
}

}  // namespace nexus
