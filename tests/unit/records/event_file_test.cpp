// Frames of event files and what the messages in them hold, byte by byte. TensorBoard's own reader: program.metrics.
#include "records/event_file.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "core/files.h"
#include "support/expect_error.h"
#include "support/temp_folder.h"

namespace nexus {
namespace {

TEST(Crc32c, HasTheValuesOfItsStandard) {  // RFC 3720, B.4
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
  std::string rising(32, '\0');
  std::iota(rising.begin(), rising.end(), '\0');
  EXPECT_EQ(crc32c(rising), 0x46dd794eU);
}

// The events of a file; its frames hold.
std::vector<std::string> events_of(const std::string& path) {
  const std::string bytes = read_text_file(path);
  const auto sum_at = [&](size_t at) {
    uint32_t sum = 0;
    std::memcpy(&sum, bytes.data() + at, sizeof sum);
    const uint32_t rotated = sum - 0xa282ead8U;
    return (rotated >> 17) | (rotated << 15);
  };
  std::vector<std::string> events;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t size = 0;
    std::memcpy(&size, bytes.data() + at, sizeof size);
    EXPECT_EQ(sum_at(at + 8), crc32c(bytes.substr(at, 8)));
    events.push_back(bytes.substr(at + 12, size));
    EXPECT_EQ(sum_at(at + 12 + size), crc32c(events.back()));
    at += 16 + size;
  }
  return events;
}

// wall_time 1.0 as a double, then step 300 as a varint.
const std::string kTime("\x09\0\0\0\0\0\0\xf0\x3f", 9), kStep300("\x10\xac\x02", 3), kStep0("\x10\0", 2);

TEST(EventFile, WritesVersionScalarsAndRestarts) {
  const TempFolder folder;
  const std::string path = event_file_name(folder.path(), 12, "n04");
  EXPECT_EQ(path, folder.path() + "/events.out.tfevents.0000000012.n04");
  {
    EventFile file(path, 1.0);
    file.restart(300, 1.0);
    file.add(300, 1.0, {{"loss", 1.5}, {"lr", -2.0}});
    file.add(0, 1.0, {});
  }
  const std::vector<std::string> events = events_of(path);
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0], kTime + kStep0 + std::string("\x1a\x0d") + "brain.Event:2");
  EXPECT_EQ(events[1], kTime + kStep300 + std::string("\x3a\x02\x08\x01", 4));
  const std::string loss("\x0a\x0b\x0a\x04loss\x15\0\0\xc0\x3f", 13), lr("\x0a\x09\x0a\x02lr\x15\0\0\0\xc0", 11);
  EXPECT_EQ(events[2], kTime + kStep300 + "\x2a\x18" + loss + lr);
  EXPECT_EQ(events[3], kTime + kStep0 + std::string("\x2a\0", 2));
}

TEST(EventFile, ThatCannotBeMadeNamesItsPath) {
  EXPECT_NEXUS_ERROR(EventFile("/does/not/exist/events", 0), ErrorKind::kIo,
                     ::testing::HasSubstr("/does/not/exist/events"));
}

}  // namespace
}  // namespace nexus
