#include "accounting/communication.h"

#include "model/model.h"

namespace nexus {
namespace {

using Group = CommunicationTerm::Group;

// What a block's branches send inside, per token and pass: activation columns, and f32 statistics.
struct BlockTraffic {
  int64_t columns = 0;     // gathered in one pass and reduce-scattered in the other
  int64_t statistics = 0;  // rows of one number, all-reduced; the same in both passes
  // Of the columns, those of activations. They are gathered again where activations are computed again, and so are the
  // statistics of the norms before them.
  int64_t activations = 0;
};

// A Nexus-Rank projection of `groups` outputs gathers a1, and adds up the squares of h1 and h2.
void add_nexus_rank(BlockTraffic& block, const ModelConfig& c, int64_t groups) {
  block.columns += groups * c.m;
  block.activations += groups * c.m;
  block.statistics += c.norm == NormKind::kNone ? 0 : 2 * groups;
}

BlockTraffic block_traffic(const ModelConfig& c) {
  const int64_t qkv = (c.heads + 2 * c.kv()) * c.head_dim();
  BlockTraffic block;
  if (c.arch == Arch::kTransformer) return block;
  block.columns += qkv;  // q, k and v go to the rank that has their head
  if (c.arch == Arch::kTokenformer) {
    block.columns += c.d;  // o wants whole rows
    block.statistics += 3 + 1 + 1;
    return block;
  }
  add_nexus_rank(block, c, 3);
  if (c.variant == Variant::kFull) {
    block.columns += c.d;
    add_nexus_rank(block, c, 1);
    add_nexus_rank(block, c, 1);
  }
  return block;
}

int64_t norm_weights(const ModelConfig& c) {
  return c.d * (c.arch == Arch::kTokenformer ? 1 : 2 * c.layers + 1);
}

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
  const int64_t p = sharding.tp_size, rows = shape.micro * shape.context * shape.accumulation;
  const int64_t element = size_of(shape.compute), wide = size_of(wide_of(shape.compute));
  const int64_t column = (p - 1) * rows * element;      // gather or reduce-scatter of one column of activations
  const int64_t statistic = 2 * (p - 1) * rows * wide;  // all-reduce of one number per row
  const BlockTraffic block = block_traffic(c);
  // Entering and leaving a branch: a gather and a reduce-scatter of D columns in each pass with sequence parallelism,
  // an all-reduce in one of the two places without. Two branches.
  const int64_t edges = 4 * c.d;
  const int64_t per_pass = c.layers * ((edges + block.columns) * column + block.statistics * statistic);
  terms.add(Group::kTp, "blocks forward", per_pass);
  terms.add(Group::kTp, "blocks backward", per_pass);
  if (shape.recompute == Recompute::kActivations)
    terms.add(Group::kTp, "blocks recomputed", c.layers * (block.activations * column + block.statistics * statistic));
  terms.add(Group::kTp, "embedding", 2 * c.d * column);
  terms.add(Group::kTp, "head", 2 * c.d * column);
  terms.add(Group::kTp, "cross-entropy", (p - 1) * p * rows * 3 * wide);
  if (sharding.sequence) terms.add(Group::kTp, "norm weights", 2 * (p - 1) * norm_weights(c) * wide);
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
