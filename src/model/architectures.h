// The one place where the three architectures differ: which projections and norms a block is made of, and their names
// in the parameter table (docs/numerics.md, Tensors).
#pragma once

#include "model/block.h"
#include "model/model_config.h"

namespace nexus {

// Appends the parameters of block `layer` to the table, in the order of the forward pass.
Block make_block(const ModelConfig& config, int64_t layer, ParamTable& table);
RowNormLayer make_final_norm(const ModelConfig& config, ParamTable& table);

}  // namespace nexus
