// Small facts over ranks: sums, texts, and agreements that name the ranks that differ.
#include <map>
#include <optional>
#include <stdexcept>
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

struct Heard {
  ErrorKind kind;
  std::string text, node;
};

// What every rank throws where each of `failing` throws an error of its own; nothing where none does. All ranks must
// have the same.
std::optional<Heard> try_with(Communicator& world, const std::map<int, Error>& failing) {
  std::optional<Heard> heard;
  bool worked = false;
  try {
    world.try_together("saving", [&] {
      worked = true;
      if (const auto mine = failing.find(world.rank()); mine != failing.end()) throw mine->second;
    });
  } catch (const Error& e) {
    heard = {e.kind(), e.what(), e.suspect_node()};
  }
  MPI_EXPECT(worked, "the work was not done");
  world.require_equal(
      "the error", heard ? fmt::format("{} {} {}", static_cast<int>(heard->kind), heard->text, heard->node) : "none");
  return heard;
}

void a_rank_that_throws_makes_all_throw(Communicator& world) {
  MPI_EXPECT(!try_with(world, {}), "nobody has failed");
  const int last = world.size() - 1;
  const auto heard = try_with(world, {{last, Error(ErrorKind::kIo, "disk full")}});
  MPI_EXPECT(heard && heard->kind == ErrorKind::kIo, "no rank heard of the error");
  if (world.size() == 1) MPI_EXPECT(heard->text == Error(ErrorKind::kIo, "disk full").what(), heard->text);
  if (world.size() > 1) {
    const std::string expected = fmt::format("saving failed on rank {}: {}", last, "disk full");
    MPI_EXPECT(heard->text.starts_with(expected), heard->text);
  }
  MPI_EXPECT(!try_with(world, {}), "an error is over once it was thrown");
}

void of_several_errors_the_lowest_ranks_counts(Communicator& world) {
  if (world.size() < 2) return;
  const int last = world.size() - 1;
  const auto heard = try_with(
      world, {{last - 1, Error(ErrorKind::kFenced, "taken over")}, {last, Error(ErrorKind::kIo, "no such folder")}});
  MPI_EXPECT(heard && heard->kind == ErrorKind::kFenced, heard ? heard->text : "nothing");
  MPI_EXPECT(heard->text.starts_with(fmt::format("saving failed on rank {},{}: taken over", last - 1, last)),
             heard->text);
  MPI_EXPECT(heard->text.find("no such folder") == std::string::npos, heard->text);
  const auto swapped = try_with(
      world, {{last - 1, Error(ErrorKind::kIo, "no such folder")}, {last, Error(ErrorKind::kFenced, "taken over")}});
  MPI_EXPECT(swapped && swapped->kind == ErrorKind::kIo, swapped ? swapped->text : "nothing");
}

// What is no Error is a bug of ours, on whatever rank.
void other_exceptions_travel_as_internal_errors(Communicator& world) {
  const int last = world.size() - 1;
  try {
    world.try_together("saving", [&] {
      if (world.rank() == last) throw std::out_of_range("index 7");
    });
    MPI_EXPECT(false, "no rank heard of the exception");
  } catch (const Error& e) {
    MPI_EXPECT(world.size() > 1 && e.kind() == ErrorKind::kInternal, e.what());
    MPI_EXPECT(std::string(e.what()).find("index 7") != std::string::npos, e.what());
  } catch (const std::out_of_range&) {
    MPI_EXPECT(world.size() == 1, "each rank has thrown its own");
  }
}

void only_rank_0_works_and_all_hear_of_it(Communicator& world) {
  int done = 0;
  world.try_on_rank_0("saving", [&] { ++done; });
  MPI_EXPECT(done == (world.rank() == 0 ? 1 : 0), std::to_string(done));
  try {
    world.try_on_rank_0("saving", [] { throw Error(ErrorKind::kConfig, "refused"); });
    MPI_EXPECT(false, "no rank heard of the error");
  } catch (const Error& e) {
    MPI_EXPECT(e.kind() == ErrorKind::kConfig, e.what());
  }
}

void the_suspect_node_travels_with_the_error(Communicator& world) {
  Error error(ErrorKind::kDevice, "GPU lost");
  error.set_suspect_node("n12");
  const auto heard = try_with(world, {{world.size() - 1, error}});
  MPI_EXPECT(heard && heard->node == "n12", heard ? heard->node : "nothing");
  MPI_EXPECT(heard->text.find("n12") == std::string::npos, heard->text);
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
  nexus::a_rank_that_throws_makes_all_throw(*world);
  nexus::of_several_errors_the_lowest_ranks_counts(*world);
  nexus::other_exceptions_travel_as_internal_errors(*world);
  nexus::only_rank_0_works_and_all_hear_of_it(*world);
  nexus::the_suspect_node_travels_with_the_error(*world);
  nexus::different_facts_are_refused(*world);
  return 0;
}
