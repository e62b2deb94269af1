// The dp x tp arrangement: neighbours share a model, ranks of equal tp_rank share its samples' part of the work.
#include <string>

#include "comm/process_grid.h"
#include "support/mpi_expect.h"

namespace nexus {
namespace {

void groups_are_as_the_header_says(MpiSession& session, int tp) {
  ProcessGrid grid(session.world(), 0, tp);
  const int rank = grid.rank(), ranks = grid.world().size();
  const std::string where = fmt::format("rank {} of {}, tp {}", rank, ranks, tp);
  MPI_EXPECT(grid.tp_size() == tp && grid.dp_size() == ranks / tp, where);
  MPI_EXPECT(grid.tp_rank() == rank % tp && grid.dp_rank() == rank / tp, where);
  int neighbours = 0, counterparts = 0;
  for (int r = 0; r < ranks; ++r) {
    if (r / tp == rank / tp) neighbours += r;
    if (r % tp == rank % tp) counterparts += r;
  }
  MPI_EXPECT(grid.tp().sum(rank) == neighbours, where);
  MPI_EXPECT(grid.dp().sum(rank) == counterparts, where);
}

void a_misfit_is_refused_on_every_rank(MpiSession& session) {
  const int ranks = session.world()->size();
  try {
    ProcessGrid(session.world(), 0, ranks + 1);
    MPI_EXPECT(false, "accepted");
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == ErrorKind::kConfig, error.what());
    const std::string cure = fmt::format("start {} ranks", ranks + 1);
    MPI_EXPECT(std::string(error.what()).find(cure) != std::string::npos, error.what());
  }
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const int ranks = session.world()->size();
  for (int tp = 1; tp <= ranks; ++tp)
    if (ranks % tp == 0) nexus::groups_are_as_the_header_says(session, tp);
  nexus::a_misfit_is_refused_on_every_rank(session);
  return 0;
}
