#include "spec/train_options.h"

#include <cmath>

namespace nexus {

bool Period::due(int64_t steps_before, int64_t steps_after, int64_t tokens_before, int64_t tokens_after) const {
  auto crossed = [this](int64_t before, int64_t after) {
    return std::floor(static_cast<double>(after) / value) > std::floor(static_cast<double>(before) / value);
  };
  switch (unit) {
    case Unit::kSteps: return crossed(steps_before, steps_after);
    case Unit::kTokens: return crossed(tokens_before, tokens_after);
    case Unit::kNever:
    case Unit::kSeconds: return false;
  }
  return false;
}

}  // namespace nexus
