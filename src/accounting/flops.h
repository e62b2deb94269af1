// Training FLOPs by a named definition. The name stands beside every figure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace nexus {

// gemm_causal   forward: 2*o*i per matrix [o, i], attention 2*T*D per layer where it is causal and 4*T*D where not,
// head 2*V*D; training 3x. Exact. palm          6N + 12*L*D*T          (Chowdhery et al. 2022, appendix B; attention
// not halved) 6n            6N, all parameters     (Kaplan et al. 2020, with embeddings) 6n_nonemb     6N without
// embedding and head
enum class FlopsDefinition { kGemmCausal, kPalm, k6N, k6NNonEmbedding };

const std::vector<std::string>& flops_definition_names();
FlopsDefinition flops_definition(const std::string& name);  // throws kConfig with the known names
std::string name_of(FlopsDefinition definition);

// FLOPs of training (forward and backward) per token at context `context`.
double training_flops_per_token(const ModelConfig& config, int64_t context, FlopsDefinition definition);

}  // namespace nexus
