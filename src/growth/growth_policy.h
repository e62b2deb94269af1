// What a growth does to the tensors of a model: an object per policy (grow.init). A policy, or a family of them, is one
// file of policies/ and one line of policies.cpp; nothing else in nexus names one.
#pragma once

#include "growth/growth_options.h"

namespace nexus {

// A rectangle of a tensor of the grown model, of old or new rows and of old or new columns.
struct GrowthBlock {
  const ParamSpec &from, &to;  // the tensor in the old model and in the grown one
  Box box;                     // in the grown tensor; the old one is its top left corner
  bool new_rows = false, new_columns = false;

  bool is_new() const { return new_rows || new_columns; }
  // Whether its entries make a new channel, or read one; the corner of a matrix that grows both ways may do both.
  bool produces_new() const { return has_new(AxisRole::kProduces); }
  bool consumes_new() const { return has_new(AxisRole::kConsumes); }

 private:
  bool has_new(AxisRole role) const;
};

// The row (or column) of the old tensor that one of the grown tensor copies. `gradient`: what the gradient of the
// copied entries will be, in units of the old ones': AdamW's moments are copied times it and its square.
struct Pick {
  int64_t index = 0;
  double scale = 1, gradient = 1;
};
struct Copy {
  std::vector<Pick> rows, columns;  // one for each of the block's; empty: the same row, or column, as it is
};

// Where the entries of a block come from: those of row r and column c are
//
//   sum over copies of  rows[r].scale columns[c].scale old(rows[r].index, columns[c].index)  +  std normal
//
// Nothing is zero. Two copies of scale 1/2 are an average; one column and its copy, both of scale 1/2, are a split.
// `of_rms`: std counts in root mean squares of the whole old tensor's weights, which is measured as the moves are
// carried out: the same number on every grid.
struct Entries {
  std::vector<Copy> copies;
  double std = 0;
  bool of_rms = false;

  static Entries zero() { return {}; }
  static Entries normal(double std) { return {{}, std}; }
  static Entries normal_of_rms(double std) { return {{}, std, true}; }
  static Entries same() { return {{Copy{}}, 0}; }
  // The old tensor's, at the same place, as they are.
  bool are_same() const;
};

// A number that a policy reads: grow.NAME of a campaign file, --NAME of `nexus grow`. Policies may share one.
struct GrowthKey {
  std::string name, comment;
  double preset = 0, most = 0;  // a value is above 0 and at most `most`
};

class GrowthPolicy {
 public:
  virtual ~GrowthPolicy() = default;

  virtual std::string name() const = 0;
  // The architectures that it grows: those of this Architecture::grown_part.
  virtual std::string grown_part() const = 0;
  virtual std::vector<GrowthKey> keys() const { return {}; }
  // Of the keys that every growth has, where its own differ: "grow.new.warmup" -> "5%".
  virtual std::map<std::string, std::string> presets() const { return {}; }

  // --- what it does
  virtual Entries old_entries(const GrowthBlock&, const GrowthOptions&) const { return Entries::same(); }
  virtual Entries new_entries(const GrowthBlock& block, const GrowthOptions& options) const = 0;
  // Whether new entries begin with the moments of those that they copy, as far as GrowthOptions::moments keeps these,
  // and with the update count of the model's birth; else with zero.
  virtual bool copies_moments() const { return false; }
  // Whether the scale of norm l2 follows the widths at once (params/norm_scale.h), as copied channels ask for.
  virtual bool scales_norms() const { return false; }
  // Constants of the grown model, whose widths are set.
  virtual void set_constants(ModelConfig&) const {}
  // Whether old entries, scales and constants all stay: then a mask on the new channels (params/growth_mask.h) hides
  // the whole growth.
  virtual bool only_adds() const { return true; }

  // --- what it promises
  // Why such a model, grown, computes another function; empty: it computes the same.
  virtual std::string why_lossy(const ModelConfig&) const { return ""; }
  // Whether every new block can move.
  virtual bool alive() const { return true; }
};

// Those that grow the architectures of a grown part, their default first.
std::vector<const GrowthPolicy*> growth_policies_for(const std::string& grown_part);
// Throws ErrorKind::kConfig with the nearest name.
const GrowthPolicy& growth_policy(const std::string& name);
std::vector<std::string> architectures_of(const GrowthPolicy& policy);
// All names for people: "zero_rows, zero_all; tokenformer: zero_key".
std::string describe_growth_policies();
// The keys of `policies`, each once.
std::vector<GrowthKey> growth_keys(const std::vector<const GrowthPolicy*>& policies);

}  // namespace nexus
