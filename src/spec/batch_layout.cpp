#include "spec/batch_layout.h"

#include "core/error.h"

namespace nexus {

bool batch_fits(const BatchSpec& batch, int64_t context, int dp_size) {
  const int64_t pass_tokens = context * batch.micro * dp_size;
  return pass_tokens > 0 && batch.global_tokens > 0 && batch.global_tokens % pass_tokens == 0;
}

BatchLayout make_batch_layout(const BatchSpec& batch, int64_t context, int dp_rank, int dp_size) {
  const int64_t pass_tokens = context * batch.micro * dp_size;
  if (!batch_fits(batch, context, dp_size)) {
    const int64_t below = pass_tokens > 0 ? batch.global_tokens / pass_tokens * pass_tokens : 0;
    throw Error(
        ErrorKind::kConfig,
        fmt::format("batch.global_tokens = {} is no multiple of context {} * micro {}{} = {}", batch.global_tokens,
                    context, batch.micro, dp_size > 1 ? fmt::format(" * dp {}", dp_size) : "", pass_tokens),
        "batch.global_tokens",
        fmt::format("set it to {}{}, or choose another micro", below > 0 ? fmt::format("{} or ", below) : "",
                    below + pass_tokens));
  }
  return {context, batch.micro, batch.global_tokens / pass_tokens, dp_rank, dp_size};
}

}  // namespace nexus
