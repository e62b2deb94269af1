#include "accounting/communication.h"

#include "model/dry_run.h"
#include "model/model.h"

namespace nexus {
namespace {

using Group = CommunicationTerm::Group;

class Terms {
 public:
  void add(Group group, const std::string& name, int64_t bytes) {
    if (bytes > 0) list_.push_back({group, name, bytes});
  }
  std::vector<CommunicationTerm> list() { return std::move(list_); }

 private:
  std::vector<CommunicationTerm> list_;
};

void add_tensor_parallel(Terms& terms, const ModelConfig& c, const StepShape& shape, const Sharding& sharding) {
  const int64_t p = sharding.tp_size, wide = size_of(wide_of(shape.compute));
  const DryRun pass =
      dry_run(c, shape.compute, shape.micro, shape.context, ModelUse::kTraining, sharding, shape.recompute);
  terms.add(Group::kTp, "forward and backward passes", shape.accumulation * pass.tp_group_bytes);
  int64_t replicated = 0;
  const Model model(c, sharding);
  for (const ParamSpec& spec : model.table())
    if (!spec.sharded()) replicated += spec.count();
  // Each rank saw its own rows only.
  if (sharding.sequence) terms.add(Group::kTp, "norm weights", 2 * (p - 1) * replicated * wide);
  terms.add(Group::kTp, "gradient norm", (p - 1) * p * sharding.dp_size * size_of(DType::kF64));
}

void add_data_parallel(Terms& terms, const ModelConfig& c, const StepShape& shape, const Sharding& sharding) {
  const int64_t q = sharding.dp_size, wide = size_of(wide_of(shape.compute));
  const int64_t params = Model(c, sharding).table().flat_count();
  if (!sharding.zero) {
    terms.add(Group::kDp, "gradients", 2 * (q - 1) * params * wide);
    return;
  }
  terms.add(Group::kDp, "gradients", (q - 1) * params * wide);
  terms.add(Group::kDp, "weights", (q - 1) * params * size_of(shape.compute));
  terms.add(Group::kDp, "gradient norm", (q - 1) * q * size_of(DType::kF64));
}

}  // namespace

std::vector<CommunicationTerm> step_communication(const ModelConfig& config, const StepShape& shape,
                                                  const Sharding& sharding) {
  Terms terms;
  if (sharding.tp_size > 1) add_tensor_parallel(terms, config, shape, sharding);
  if (sharding.dp_size > 1) add_data_parallel(terms, config, shape, sharding);
  const int64_t ranks = static_cast<int64_t>(sharding.dp_size) * sharding.tp_size;
  terms.add(Group::kWorld, "loss, requests, finiteness", 2 * (ranks - 1) * 4 * size_of(DType::kF64));
  return terms.list();
}

int64_t group_bytes_of(const std::vector<CommunicationTerm>& terms, CommunicationTerm::Group group) {
  int64_t sum = 0;
  for (const CommunicationTerm& term : terms)
    if (term.group == group) sum += term.group_bytes;
  return sum;
}

double rank_bytes_of(const std::vector<CommunicationTerm>& terms, const Sharding& sharding) {
  const auto tp = static_cast<double>(sharding.tp_size), dp = static_cast<double>(sharding.dp_size);
  return static_cast<double>(group_bytes_of(terms, Group::kTp)) / tp +
         static_cast<double>(group_bytes_of(terms, Group::kDp)) / dp +
         static_cast<double>(group_bytes_of(terms, Group::kWorld)) / (tp * dp);
}

std::string name_of(CommunicationTerm::Group group) {
  switch (group) {
    case Group::kTp: return "tp";
    case Group::kDp: return "dp";
    case Group::kWorld: return "world";
  }
  return "?";
}

}  // namespace nexus
