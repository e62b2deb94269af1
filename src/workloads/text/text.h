// Text: samples are windows of token ids, and a model predicts each next token (docs/numerics.md, The function).
#pragma once

#include "model/workload.h"

namespace nexus {

const Workload& text_workload();

}  // namespace nexus
