#include "data/durable_stream.h"

#include <filesystem>

#include "core/files.h"
#include "core/rng.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

std::string random_bytes(size_t count) {
  const RandomStream random(1, "bytes");
  std::string bytes(count, ' ');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(random.below(i, 256));
  return bytes;
}

TEST(DurableStream, ShowsTheWholeFileOnCommitAndNothingBefore) {
  const TempFolder folder;
  const std::string text = random_bytes(3 << 20);
  DurableStream stream(folder / "out");
  for (size_t i = 0; i < text.size(); i += 1000) {
    const std::string part = text.substr(i, 1000);
    stream.write(part.data(), part.size());
  }
  EXPECT_FALSE(path_exists(folder / "out"));
  stream.commit();
  EXPECT_EQ(read_text_file(folder / "out"), text);
  EXPECT_EQ(stream.digest(), hash_text(text));
  EXPECT_FALSE(path_exists(folder / "out.partial"));
}

TEST(DurableStream, LeavesTheOldFileWhenItIsNotCommitted) {
  const TempFolder folder;
  write_file_durably(folder / "out", "old");
  { DurableStream(folder / "out").write("new", 3); }
  EXPECT_EQ(read_text_file(folder / "out"), "old");
  EXPECT_FALSE(path_exists(folder / "out.partial"));
}

TEST(DurableStream, OverwritesWhatAKilledWriterLeft) {
  const TempFolder folder;
  write_file_durably(folder / "out.partial", "left behind");
  DurableStream stream(folder / "out");
  stream.write("new", 3);
  stream.commit();
  EXPECT_EQ(read_text_file(folder / "out"), "new");
}

TEST(DurableStream, RefusesASecondWriter) {
  const TempFolder folder;
  DurableStream first(folder / "out");
  EXPECT_NEXUS_ERROR(DurableStream(folder / "out"), ErrorKind::kIo, HasSubstr("another process is writing"));
  first.write("1", 1);
  first.commit();
  EXPECT_EQ(read_text_file(folder / "out"), "1");
}

}  // namespace
}  // namespace nexus
