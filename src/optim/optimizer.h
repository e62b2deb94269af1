// AdamW over a parameter store whose tensors may have grown.
//
// A *generation* is what one growth added. Its entries were born with zero moments, so they carry their own update
// counts for the bias correction, and in the stage that made them their own learning rate (docs/numerics.md, Loss,
// gradient, update).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "params/param_store.h"

namespace nexus {

struct Generation {
  std::map<Width, int64_t> widths;  // extents of the growable widths once this generation was added
  int64_t updates1 = 0;             // updates that the first moment of its entries has seen
  int64_t updates2 = 0;             // likewise the second moment
  bool operator==(const Generation&) const = default;
};

// The generation-pure rectangles of one tensor, in logical coordinates. They cover the tensor exactly once, oldest
// generation first.
struct GenerationBlock {
  Box box;
  int generation = 0;
};
std::vector<GenerationBlock> generation_blocks(const ParamSpec& spec, const std::vector<Generation>& generations);

class Optimizer {
 public:
  // `generations` is never empty: generation 0 is the model's birth. `rate_scales`: a factor on the learning rate of
  // tensors by their role (role_of), and so on their decay.
  Optimizer(const AdamW& op, double weight_decay, std::vector<Generation> generations,
            std::map<std::string, double> rate_scales = {});

  // Whether the newest generation, if there has been a growth, has weight decay: it has unless told.
  void set_newest_decays(bool decays) { newest_decays_ = decays; }

  // One update of what this rank keeps optimizer state of. `grad_sum_squares` is as Backend::adamw takes it. The newest
  // generation uses `newest_learning_rate` if there has been a growth; everything else `learning_rate`. With ZeRO-1,
  // all_gather_weights must follow. `nonfinite`: as Backend::adamw writes it.
  void step(ParamStore& params, const Tensor& grad_sum_squares, double learning_rate, double newest_learning_rate,
            const Tensor& nonfinite = {});

  const std::vector<Generation>& generations() const { return generations_; }
  // The rectangles of the next update; public for tests.
  std::vector<UpdateBlock> update_blocks(const ParamTable& table, double learning_rate,
                                         double newest_learning_rate) const;

 private:
  AdamW op_;
  double weight_decay_;
  std::map<std::string, double> rate_scales_;
  bool newest_decays_ = true;
  std::vector<Generation> generations_;
};

}  // namespace nexus
