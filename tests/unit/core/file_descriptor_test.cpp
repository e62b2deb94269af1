#include "core/file_descriptor.h"

#include <gtest/gtest.h>

#include "core/files.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

bool is_open_in_the_system(int fd) {
  return ::fcntl(fd, F_GETFD) != -1;
}

TEST(FileDescriptor, ClosesWhatItOwnsOnce) {
  int number = -1;
  {
    FileDescriptor first("/dev/null", O_RDONLY);
    ASSERT_TRUE(first.is_open());
    number = first.get();
    EXPECT_EQ(::fcntl(number, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    const FileDescriptor second = std::move(first);
    EXPECT_EQ(second.get(), number);
    EXPECT_FALSE(first.is_open());
    EXPECT_TRUE(first.close()) << "nothing to close is no failure";
    EXPECT_TRUE(is_open_in_the_system(number));
  }
  EXPECT_FALSE(is_open_in_the_system(number));
}

TEST(FileDescriptor, LeavesTheReasonOfAFailureInErrno) {
  const FileDescriptor none("/dev/null/x", O_RDONLY);
  EXPECT_FALSE(none.is_open());
  EXPECT_EQ(errno, ENOTDIR);
  const FileDescriptor full("/dev/full", O_WRONLY);
  EXPECT_FALSE(full.write_all("x", 1));
  EXPECT_EQ(errno, ENOSPC);
}

TEST(FileDescriptor, WritesAllAndReadsToTheEnd) {
  const TempFolder folder;
  const std::string text(300000, 'x');
  FileDescriptor file(folder / "file", O_RDWR | O_CREAT);
  EXPECT_TRUE(file.write_all(text.data(), text.size()));
  EXPECT_EQ(read_text_file(folder / "file"), text);
  char c = 0;
  EXPECT_EQ(file.read(&c, 1), 0);
  EXPECT_TRUE(file.close());
}

}  // namespace
}  // namespace nexus
