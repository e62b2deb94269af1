// What a model is: the widths and choices of every model, and by name those that only its architecture or its workload
// has.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/model_key.h"
#include "params/param_table.h"

namespace nexus {

// Larger widths are typing errors; the bound keeps every product of two extents far from overflow.
constexpr int64_t kMaxWidth = 1 << 24;
constexpr int64_t kMaxLayers = 4096;
// Of models that do not say, as all did before there was a choice.
constexpr char kDefaultWorkload[] = "text";

struct ModelConfig {
  std::string arch = "nexusformer";         // model/architectures.cpp
  std::string workload = kDefaultWorkload;  // workloads/workloads.cpp
  int64_t d = 768;                          // D: model width
  int64_t layers = 12;                      // L
  int64_t heads = 12;                       // H
  int64_t kv_heads = 0;                     // grouped-query attention; 0 is H
  GeluKind gelu = GeluKind::kErf;
  double rope_theta = 10000.0;
  double rotary_share = 1.0;  // share of the head that rotates

  // What is known by name (ModelKey), where it is not the preset. A count of 0 whose preset is
  // another key's value at birth is not given.
  std::map<std::string, int64_t> counts;
  std::map<std::string, std::string> words;

  // What is set, or the preset; 0 and an empty word where there is neither.
  int64_t count(const std::string& key) const;
  std::string word(const std::string& key) const;
  bool flag(const std::string& key) const { return word(key) == "true"; }
  // Those of every model, the architecture's, then the workload's; `has_key` says which of them this model has.
  std::vector<const ModelKey*> keys() const;
  const ModelKey* find_key(const std::string& name) const;  // null: neither has it
  int64_t head_dim() const { return d / heads; }
  int64_t kv() const { return kv_heads == 0 ? heads : kv_heads; }
  int64_t rotary_dim() const { return static_cast<int64_t>(static_cast<double>(head_dim()) * rotary_share); }
  int64_t width(const Width& w) const;
  void set_width(const Width& w, int64_t value);
  std::vector<Width> growable_widths() const;  // of this architecture
  // Throws ErrorKind::kConfig naming the key and the rule for impossible widths. Fills in what is not given and drops
  // what neither architecture nor workload has, so that equal models compare equal.
  void validate();
  // Throws ErrorKind::kConfig naming the key where the model cannot be cut over `tp` ranks: heads and inner widths must
  // divide (nothing is padded); what is cut unevenly needs a part for each.
  void check_tensor_parallel(int tp) const;
  bool operator==(const ModelConfig&) const = default;
};

// Keys of every model that are known by name; choices that only a block reads.
const std::vector<ModelKey>& common_keys();

// Whether a model of this configuration, whose architecture or workload has the key, has it.
bool has_key(const ModelConfig& config, const ModelKey& key);
// Whether it goes without saying: a late key at its preset.
bool goes_without_saying(const ModelConfig& config, const ModelKey& key);

// One line of key value pairs for people: "arch nexusformer D 768 ...".
std::string describe(const ModelConfig& config);

}  // namespace nexus
