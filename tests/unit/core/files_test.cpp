#include "core/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(ReadTextFile, ReadsFilesThatDoNotSayTheirSize) {
  EXPECT_THAT(read_text_file("/proc/self/stat"), ::testing::StartsWith(std::to_string(::getpid()) + " ("));
}

TEST(ReadTextFile, ReturnsEveryByte) {
  const TempFolder folder;
  const std::string bytes("a\0b\r\n\xff", 6);
  write_file_durably(folder / "file", bytes);
  EXPECT_EQ(read_text_file(folder / "file"), bytes);
}

TEST(ReadTextFile, RefusesWhatIsMissing) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(read_text_file(folder / "none"), ErrorKind::kIo, HasSubstr("No such file"));
}

TEST(ReadTextFile, RefusesAFolder) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(read_text_file(folder.path()), ErrorKind::kData, HasSubstr("not a regular file"));
}

TEST(ReadTextFile, RefusesAFifoWithoutWaitingForAWriter) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "fifo").c_str(), 0600), 0);
  EXPECT_NEXUS_ERROR(read_text_file(folder / "fifo"), ErrorKind::kData, HasSubstr("not a regular file"));
}

TEST(ReadTextFile, RefusesADevice) {
  EXPECT_NEXUS_ERROR(read_text_file("/dev/zero"), ErrorKind::kData, HasSubstr("not a regular file"));
}

TEST(ReadTextFile, RefusesMoreThanTheLimitBeforeReading) {
  const TempFolder folder;
  std::ofstream(folder / "sparse").put('x');
  std::filesystem::resize_file(folder / "sparse", uintmax_t{1} << 40);
  EXPECT_NEXUS_ERROR(read_text_file(folder / "sparse"), ErrorKind::kData,
                     HasSubstr("larger than the limit of 67108864"));
}

TEST(ReadTextFile, AcceptsExactlyTheLimit) {
  const TempFolder folder;
  write_file_durably(folder / "file", "12345");
  EXPECT_EQ(read_text_file(folder / "file", 5), "12345");
  EXPECT_NEXUS_ERROR(read_text_file(folder / "file", 4), ErrorKind::kData, HasSubstr("5 bytes is larger"));
}

TEST(WriteFileDurably, ReplacesTheOldContentAndLeavesNoTemporary) {
  const TempFolder folder;
  write_file_durably(folder / "file", "a long old content");
  write_file_durably(folder / "file", "new");
  EXPECT_EQ(read_text_file(folder / "file"), "new");
  EXPECT_THAT(names_in(folder.path()), ElementsAre("file"));
}

TEST(WriteFileDurably, ReadersSeeTheOldOrTheNewContentNeverAMixture) {
  const TempFolder folder;
  const std::string path = folder / "file";
  const std::string a(100'000, 'a'), b(50'000, 'b');
  write_file_durably(path, a);
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) write_file_durably(path, i % 2 == 0 ? b : a);
    done = true;
  });
  while (!done) {
    const std::string seen = read_text_file(path);
    EXPECT_TRUE(seen == a || seen == b) << seen.size() << " bytes";
  }
  writer.join();
}

TEST(WriteFileDurably, FailsInAFolderThatDoesNotExist) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(write_file_durably(folder / "none/file", "x"), ErrorKind::kIo, HasSubstr("cannot open"));
}

TEST(WriteFileDurably, LeavesNoTemporaryWhenTheTargetIsAFolder) {
  const TempFolder folder;
  make_folders(folder / "target");
  EXPECT_NEXUS_ERROR(write_file_durably(folder / "target", "x"), ErrorKind::kIo, HasSubstr("cannot rename"));
  EXPECT_THAT(names_in(folder.path()), ElementsAre("target"));
}

TEST(AppendLine, AddsWholeLinesAlsoFromSeveralThreads) {
  const TempFolder folder;
  const std::string path = folder / "lines";
  std::vector<std::thread> writers;
  for (const char letter : {'a', 'b', 'c'})
    writers.emplace_back([&path, letter] {
      for (int i = 0; i < 200; ++i) append_line(path, std::string(500, letter), i % 100 == 0);
    });
  for (std::thread& writer : writers) writer.join();
  std::ifstream file(path);
  int lines = 0;
  for (std::string line; std::getline(file, line); ++lines) EXPECT_EQ(line, std::string(500, line.at(0)));
  EXPECT_EQ(lines, 600);
}

TEST(MakeFolders, CreatesParentsAndAcceptsWhatExists) {
  const TempFolder folder;
  make_folders(folder / "a/b/c");
  make_folders(folder / "a/b/c");
  EXPECT_TRUE(std::filesystem::is_directory(folder / "a/b/c"));
}

TEST(MakeFolders, RefusesAPathThroughAFile) {
  const TempFolder folder;
  write_file_durably(folder / "file", "x");
  EXPECT_NEXUS_ERROR(make_folders(folder / "file"), ErrorKind::kIo, HasSubstr("cannot create folder"));
  EXPECT_NEXUS_ERROR(make_folders(folder / "file/below"), ErrorKind::kIo, HasSubstr("cannot create folder"));
}

TEST(PathExists, TellsFilesFromNothing) {
  const TempFolder folder;
  EXPECT_TRUE(path_exists(folder.path()));
  EXPECT_FALSE(path_exists(folder / "none"));
  EXPECT_FALSE(path_exists(folder / "none/below"));
}

TEST(PathExists, ATroubleIsNoAbsence) {
  const TempFolder folder;
  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_NEXUS_ERROR(path_exists(folder / "loop"), ErrorKind::kIo, HasSubstr("cannot look for"));
  EXPECT_FALSE(seems_to_exist(folder / "loop"));
  EXPECT_TRUE(seems_to_exist(folder.path()));
}

TEST(RenameDurably, MovesBetweenFoldersOfOneFileSystem) {
  const TempFolder folder;
  make_folders(folder / "from");
  make_folders(folder / "to");
  write_file_durably(folder / "from/file", "x");
  rename_durably(folder / "from/file", folder / "to/file");
  EXPECT_FALSE(path_exists(folder / "from/file"));
  EXPECT_EQ(read_text_file(folder / "to/file"), "x");
}

TEST(RenameDurably, FailsWhenTheSourceIsMissing) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(rename_durably(folder / "none", folder / "to"), ErrorKind::kIo, HasSubstr("cannot rename"));
}

TEST(Files, ReplaceFileShowsOldOrNewContentAndLeavesNothingBeside) {
  const TempFolder folder;
  const std::string path = folder / "STATUS";
  replace_file(path, "one\n");
  replace_file(path, "two\n");
  EXPECT_EQ(read_text_file(path), "two\n");
  EXPECT_FALSE(path_exists(path + ".tmp"));
}

TEST(Files, EndTornLineEndsOnlyALineThatIsTorn) {
  const TempFolder folder;
  const std::string path = folder / "log";
  end_torn_line(path);  // no file: nothing to do
  EXPECT_FALSE(path_exists(path));
  write_file_durably(path, "whole\ntor");
  end_torn_line(path);
  end_torn_line(path);
  EXPECT_EQ(read_text_file(path), "whole\ntor\n");
}

}  // namespace
}  // namespace nexus
