#include "train/finite_state.h"

#include "tensor/finite.h"

namespace nexus {
namespace {

double value_at(const void* data, DType dtype, int64_t index) {
  switch (dtype) {
    case DType::kF64: return static_cast<const double*>(data)[index];
    case DType::kBF16: return static_cast<double>(static_cast<float>(static_cast<const Bf16*>(data)[index]));
    default: return static_cast<double>(static_cast<const float*>(data)[index]);
  }
}

// `first`: index, within the tensor of that name on this rank, of the part's first element.
std::string problem_in(Backend& backend, const Tensor& part, const std::string& name, int64_t first) {
  const Buffer host = host_buffer(part.size_bytes());
  backend.copy_out(host.data(), part);
  const int64_t bad = first_nonfinite(host.data(), part.dtype, part.count());
  if (bad < 0) return "";
  return fmt::format("{}, element {}, is {}", name, first + bad, value_at(host.data(), part.dtype, bad));
}

}  // namespace

std::string nonfinite_state(const ParamStore& params) {
  Backend& backend = params.backend();
  for (const ParamPiece& piece : state_pieces(params.table())) {
    const ParamSpec& spec = params.table()[piece.param];
    const int64_t first = (piece.box.begin_row - spec.local.begin_row) * spec.local.columns +
                          (piece.box.begin_column - spec.local.begin_column);
    const auto look = [&](const char* what, const Tensor& flat, int64_t offset) {
      if (!flat.defined()) return std::string();
      return problem_in(backend, flat.flat(offset, piece.box.count()), fmt::format("{} of {}", what, spec.name), first);
    };
    // Moments first: they are what spoils the weights.
    for (const auto& [what, flat] :
         {std::pair{"moment1", params.moment1()}, {"moment2", params.moment2()}, {"the weight", params.master()}})
      if (std::string problem = look(what, flat, piece.state_offset); !problem.empty()) return problem;
    const std::string copy = fmt::format("the {} copy", name_of(params.compute_dtype()));
    if (std::string problem = look(copy.c_str(), params.compute(), piece.offset); !problem.empty()) return problem;
  }
  return "";
}

void refuse_nonfinite_state(ProcessGrid& grid, const ParamStore& params) {
  const auto first = first_text(grid.world().all_gather_text(nonfinite_state(params)));
  throw Error(
      ErrorKind::kNumeric,
      first ? "an update left a value that is not finite: " + first->text : "an update left values that are not finite",
      first ? fmt::format("rank {}", first->rank) : "",
      "it was not saved, and the last checkpoint is from before it: lower the learning rate, or set "
      "optimizer.clip");
}

}  // namespace nexus
