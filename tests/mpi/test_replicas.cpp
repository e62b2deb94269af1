// check_replicas: agrees with ranks that agree, and names rank and tensor of a planted difference of one bit. And what
// a step does where one rank's state is not finite.
#include <limits>

#include "core/host.h"
#include "support/grid_rig.h"
#include "support/mpi_expect.h"

namespace nexus {
namespace {

using testing::GridRig;

// Turns one bit of this rank's copy of a tensor around.
void flip(ParamStore& params, const Tensor& flat, const std::string& name) {
  const ParamSpec& spec = params.table()[params.table().find(name)];
  const Tensor value = flat.flat(spec.offset + 3, 1);
  uint8_t bytes[8] = {};
  params.backend().copy_out(bytes, value);
  bytes[0] ^= 1;
  params.backend().copy_in(value, bytes);
}

std::string report_of(ProcessGrid& grid, const ParamStore& params) {
  try {
    check_replicas(grid, params, "stage s step 7");
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == ErrorKind::kDevice, error.what());
    MPI_EXPECT(error.where() == "stage s step 7", error.what());
    MPI_EXPECT(error.suspect_node() == host_name(), "all ranks are on this host: " + error.suspect_node());
    return error.fact();
  }
  return "";
}

void expect_named(ProcessGrid& grid, const ParamStore& params, const std::string& ranks, const std::string& tensor) {
  const std::string report = report_of(grid, params);
  MPI_EXPECT(report.find("rank " + ranks + " against") != std::string::npos, "expected rank " + ranks + ": " + report);
  MPI_EXPECT(report.find("first in " + tensor + " ") != std::string::npos, "expected " + tensor + ": " + report);
  grid.world().require_equal("the report", report);
}

void test(ProcessGrid& grid, bool zero) {
  const ModelConfig config = testing::divisible_models()[0].config;
  const testing::GridOptions options{DType::kBF16, zero};
  const auto trained = [&] {
    auto rig = std::make_unique<GridRig>(grid, config, options);
    rig->step(1e-3);
    MPI_EXPECT(report_of(grid, rig->params()).empty(), "healthy replicas are reported");
    return rig;
  };
  const int last = grid.world().size() - 1;
  {  // a cut tensor: the peers are the ranks of equal tp_rank
    const auto rig = trained();
    if (grid.rank() == last) flip(rig->params(), rig->params().compute(), "layers.1.attn.k.w_a");
    std::string ranks = std::to_string(last);
    if (grid.dp_size() == 2) ranks = fmt::format("{},{}", last - grid.tp_size(), last);  // nobody can tell which
    if (grid.dp_size() > 1)
      expect_named(grid, rig->params(), ranks, "layers.1.attn.k.w_a");
    else
      MPI_EXPECT(report_of(grid, rig->params()).empty(), "there is no replica to differ from");
  }
  if (grid.world().size() > 2) {  // a tensor that every rank holds: the majority is known
    const auto rig = trained();
    if (grid.rank() == 1) flip(rig->params(), rig->params().compute(), "layers.0.mlp_norm.weight");
    expect_named(grid, rig->params(), "1", "layers.0.mlp_norm.weight");
  }
  if (!zero && grid.dp_size() > 2) {  // without ZeRO-1 moments are replicas, too
    const auto rig = trained();
    if (grid.rank() == 2) flip(rig->params(), rig->params().moment2(), "norm.weight");
    expect_named(grid, rig->params(), "2", "norm.weight");
  }
}

// A moment of the last rank that is not finite stops all ranks after the update that it has passed through, with the
// same words. With ZeRO-1 no other rank holds it.
void test_finite(ProcessGrid& grid, bool zero) {
  const ModelConfig config = testing::divisible_models()[0].config;
  GridRig rig(grid, config, {DType::kBF16, zero});
  rig.step(1e-3);
  const ParamPiece piece = owned_pieces(rig.table()).back();
  const int last = grid.world().size() - 1;
  if (grid.rank() == last) {
    const float infinity = std::numeric_limits<float>::infinity();
    rig.params().backend().copy_in(rig.params().moment2().flat(piece.state_offset, 1), &infinity);
  }
  rig.step(1e-3);
  std::string report;
  try {
    rig.step(1e-3);
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == ErrorKind::kNumeric, error.what());
    MPI_EXPECT(error.where() == fmt::format("rank {}", last), error.what());
    report = error.fact();
  }
  MPI_EXPECT(report.find("moment2 of ") != std::string::npos, "the report: " + report);
  MPI_EXPECT(report.find(" is inf") != std::string::npos, "the report: " + report);
  grid.world().require_equal("the report", report);
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const int size = session.world()->size();
  for (int tp = 1; tp <= size; tp *= 2) {
    nexus::ProcessGrid grid(session.world(), size / tp, tp);
    for (const bool zero : {false, true}) {
      nexus::test(grid, zero);
      nexus::test_finite(grid, zero);
    }
  }
  return 0;
}
