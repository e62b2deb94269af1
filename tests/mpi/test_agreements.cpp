// Small facts over ranks: sums, texts, and agreements that name the ranks that differ.
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "support/mpi_expect.h"

namespace nexus {
namespace {

void numbers_are_agreed_on(Communicator& world) {
  const int rank = world.rank(), size = world.size();
  MPI_EXPECT(world.sum(rank) == size * (size - 1) / 2, "sum");
  MPI_EXPECT(world.max(-rank) == 0, "max");
  MPI_EXPECT(world.any(rank == size - 1), "any");
  MPI_EXPECT(!world.any(false), "none");
}

void texts_travel_in_rank_order(Communicator& world) {
  const std::string mine(static_cast<size_t>(world.rank()), 'x');  // rank 0's is empty
  const std::vector<std::string> all = world.all_gather_text(mine);
  for (size_t r = 0; r < all.size(); ++r) MPI_EXPECT(all[r] == std::string(r, 'x'), all[r]);
  const std::string told = world.broadcast_text(world.rank() == 0 ? "from rank 0" : "something else, longer");
  MPI_EXPECT(told == "from rank 0", told);
}

void agreement_names_the_ranks_that_failed(Communicator& world) {
  world.agree("a phase without errors", nullptr);
  const int last = world.size() - 1;
  std::exception_ptr error;
  if (world.rank() == last) error = std::make_exception_ptr(Error(ErrorKind::kIo, "disk full"));
  try {
    world.agree("saving", error);
    MPI_EXPECT(false, "no rank heard of the error");
  } catch (const Error& e) {
    MPI_EXPECT(e.kind() == ErrorKind::kIo, e.what());
    const std::string text = e.what();
    MPI_EXPECT(text.find("disk full") != std::string::npos, text);
    if (world.size() > 1)
      MPI_EXPECT(text.find("saving failed on rank " + std::to_string(last)) != std::string::npos, text);
  }
}

void agreement_keeps_the_suspect_node(Communicator& world) {
  std::exception_ptr failure;
  if (world.rank() == world.size() - 1) {
    Error error(ErrorKind::kDevice, "GPU lost");
    error.set_suspect_node("n12");
    failure = std::make_exception_ptr(error);
  }
  try {
    world.agree("saving", failure);
    MPI_EXPECT(false, "no rank heard of the error");
  } catch (const Error& e) {
    MPI_EXPECT(e.suspect_node() == "n12", e.suspect_node());
    MPI_EXPECT(std::string(e.what()).find("n12") == std::string::npos, e.what());
  }
}

void different_facts_are_refused(Communicator& world) {
  world.require_equal("a fact", "the same");
  if (world.size() == 1) return;
  try {
    world.require_equal("the configuration", world.rank() == 1 ? "b" : "a");
    MPI_EXPECT(false, "the difference was not noticed");
  } catch (const Error& e) {
    MPI_EXPECT(e.kind() == ErrorKind::kComm, e.what());
    MPI_EXPECT(std::string(e.what()).find("rank 1 against rank 0") != std::string::npos, e.what());
  }
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const auto world = session.world();
  nexus::numbers_are_agreed_on(*world);
  nexus::texts_travel_in_rank_order(*world);
  nexus::agreement_names_the_ranks_that_failed(*world);
  nexus::agreement_keeps_the_suspect_node(*world);
  nexus::different_facts_are_refused(*world);
  return 0;
}
