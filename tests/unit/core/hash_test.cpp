#include "core/hash.h"

#include <numeric>
#include <vector>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

using ::testing::HasSubstr;

std::string some_bytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 131 + i / 251);
  return bytes;
}

TEST(Hash, IsXxh3OfOneHundredTwentyEightBits) {
  // Digests of the xxHash project's own program, `xxhsum -H128`.
  EXPECT_EQ(hash_text(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_text("a"), "a96faf705af16834e6c632b61e964e1f");
  EXPECT_EQ(hash_text("abc"), "06b05ab6733a618578af5f94892f3950");
}

TEST(Hash, DiffersWhenOneBitDiffers) {
  std::string bytes = some_bytes(1000);
  const std::string before = hash_text(bytes);
  bytes[999] = static_cast<char>(bytes[999] ^ 1);
  EXPECT_NE(hash_text(bytes), before);
}

TEST(Hasher, PiecesGiveTheDigestOfTheWhole) {
  const std::string bytes = some_bytes(5000);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{240}, size_t{256}, size_t{1024}, size_t{4999}}) {
    Hasher hasher;
    for (size_t begin = 0; begin < bytes.size(); begin += piece)
      hasher.add(bytes.data() + begin, std::min(piece, bytes.size() - begin));
    EXPECT_EQ(hasher.digest(), hash_text(bytes)) << "pieces of " << piece;
  }
}

TEST(Hasher, WithoutPiecesGivesTheDigestOfNothing) {
  EXPECT_EQ(Hasher().digest(), hash_text(""));
}

TEST(Hasher, KeepsItsStateWhenMoved) {
  Hasher first;
  first.add("ab", 2);
  Hasher second = std::move(first);
  second.add("c", 1);
  EXPECT_EQ(second.digest(), hash_text("abc"));
}

TEST(HashFile, EqualsTheDigestOfItsBytes) {
  const TempFolder folder;
  const std::string bytes = some_bytes((size_t{1} << 20) + 12345);  // more than one read block
  write_file_durably(folder / "file", bytes);
  EXPECT_EQ(hash_file(folder / "file"), hash_text(bytes));
}

TEST(HashFile, FailsOnWhatCannotBeRead) {
  const TempFolder folder;
  EXPECT_NEXUS_ERROR(hash_file(folder / "none"), ErrorKind::kIo, HasSubstr("cannot open"));
  EXPECT_NEXUS_ERROR(hash_file(folder.path()), ErrorKind::kIo, HasSubstr("cannot read"));
}

}  // namespace
}  // namespace nexus
