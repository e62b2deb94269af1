// What ranks find out about token files together: files that all see, copies of their own, and one rank with other
// files.
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "campaign/launch_data.h"
#include "core/files.h"
#include "support/mpi_expect.h"
#include "support/temp_folder.h"
#include "workloads/text/token_file_content.h"

namespace nexus {
namespace {

void write_tokens(const std::string& prefix, int32_t first_id) {
  TokenFileWriter writer(prefix, TokenType::kUint16);
  for (int32_t id = first_id; id < first_id + 20; ++id) writer.append(&id, 1);
  writer.end_document();
  writer.finish();
}

// Three training files and a validation file.
CampaignSpec write_files(const std::string& folder) {
  CampaignSpec spec;
  for (int32_t i = 0; i < 4; ++i) write_tokens(fmt::format("{}/{}", folder, i), 10 * i);
  for (int i = 0; i < 3; ++i) spec.data.train.push_back({fmt::format("{}/{}", folder, i), 1.0});
  spec.data.valid = folder + "/3";
  spec.data.context = 8;
  spec.model.counts["V"] = 50;
  return spec;
}

DataIdentity launch(Communicator& world, const CampaignSpec& spec) {
  const RunData opened = open_data(spec.data, spec.model, 1);
  LaunchData data(spec, opened, world);
  data.read_contents(world);
  return data.identity();
}

void expect_error(ErrorKind kind, const std::string& text, const std::function<void()>& work) {
  try {
    work();
    MPI_EXPECT(false, "no error: " + text);
  } catch (const Error& error) {
    MPI_EXPECT(error.kind() == kind && std::string(error.what()).find(text) != std::string::npos, error.what());
  }
}

void ranks_share_the_files_that_all_see(Communicator& world) {
  std::optional<TempFolder> mine;
  if (world.rank() == 0) mine.emplace();
  const std::string folder = world.broadcast_text(mine ? mine->path() : "");
  CampaignSpec spec;
  if (world.rank() == 0) spec = write_files(folder);
  world.barrier();
  if (world.rank() != 0) {
    spec.data = {{{folder + "/0", 1.0}, {folder + "/1", 1.0}, {folder + "/2", 1.0}}, folder + "/3", 8};
    spec.model.counts["V"] = 50;
  }
  const DataIdentity first = launch(world, spec);
  MPI_EXPECT(first.train.size() == 3 && first.train[0] != first.train[1] && !first.valid.empty(), "incomplete");
  for (int i = 0; i < 4; ++i) MPI_EXPECT(path_exists(content_path(fmt::format("{}/{}", folder, i))), folder);
  MPI_EXPECT(launch(world, spec) == first, "kept digests differ from those that were read");
  // Only rank 0 looks at them, and every rank hears of it.
  spec.tokenizer = folder + "/nowhere.model";
  expect_error(ErrorKind::kConfig, "no tokenizer", [&] { launch(world, spec); });
  spec.tokenizer = "";
  spec.model.counts["V"] = 49;
  expect_error(ErrorKind::kData, "outside the vocabulary", [&] { launch(world, spec); });
  world.barrier();
}

void ranks_read_copies_of_their_own_and_must_find_the_same(Communicator& world) {
  const TempFolder folder;
  const CampaignSpec spec = write_files(folder.path());
  const DataIdentity identity = launch(world, spec);
  MPI_EXPECT(identity.train.size() == 3, "incomplete");
  if (world.rank() == world.size() - 1) write_tokens(spec.data.train[1].path, 11);
  expect_error(ErrorKind::kData, fmt::format("rank {}", world.size() - 1), [&] { launch(world, spec); });
}

}  // namespace
}  // namespace nexus

int main(int argc, char** argv) {
  nexus::MpiSession session(&argc, &argv);
  const auto world = session.world();
  nexus::ranks_share_the_files_that_all_see(*world);
  nexus::ranks_read_copies_of_their_own_and_must_find_the_same(*world);
  return 0;
}
