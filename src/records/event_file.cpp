#include "records/event_file.h"

#include <fmt/format.h>

#include <array>
#include <bit>

#include "core/error.h"

namespace nexus {
namespace {

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[byte] = crc;
  }
  return table;
}

template <typename Number>
void put(std::string& bytes, Number value) {  // little-endian
  for (size_t i = 0; i < sizeof value; ++i) bytes += static_cast<char>(value >> (8 * i));
}

// Protobuf's wire format: a key (number of the field, type) before every value.
enum class Wire : uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

void put_varint(std::string& bytes, uint64_t value) {
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  bytes += static_cast<char>(value);
}
void put_key(std::string& bytes, int field, Wire wire) {
  put_varint(bytes, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
}
void put_text(std::string& bytes, int field, std::string_view text) {
  put_key(bytes, field, Wire::kBytes);
  put_varint(bytes, text.size());
  bytes += text;
}

// Event: wall_time 1, step 2, file_version 3, summary 5, session_log 7.
std::string event_at(int64_t step, double time) {
  std::string event;
  put_key(event, 1, Wire::kFixed64);
  put(event, std::bit_cast<uint64_t>(time));
  put_key(event, 2, Wire::kVarint);
  put_varint(event, static_cast<uint64_t>(step));
  return event;
}

// Of a TFRecord, whose readers would find plain sums of files that hold sums themselves too easy to mistake.
uint32_t masked(uint32_t crc) {
  return std::rotr(crc, 15) + 0xa282ead8U;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> table = crc_table();
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = table[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

EventFile::EventFile(std::string path, double time)
    : path_(std::move(path)), file_(path_, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND) {
  if (!file_.is_open()) throw_errno("open", path_);
  std::string event = event_at(0, time);
  put_text(event, 3, "brain.Event:2");
  write(event);
}

void EventFile::add(int64_t step, double time, const Scalars& scalars) {
  std::string summary;
  for (const auto& [name, value] : scalars) {  // Summary.value 1: tag 1, simple_value 2
    std::string entry;
    put_text(entry, 1, name);
    put_key(entry, 2, Wire::kFixed32);
    put(entry, std::bit_cast<uint32_t>(static_cast<float>(value)));
    put_text(summary, 1, entry);
  }
  std::string event = event_at(step, time);
  put_text(event, 5, summary);
  write(event);
}

void EventFile::restart(int64_t step, double time) {
  constexpr uint64_t kStart = 1;
  std::string session;  // SessionLog.status 1
  put_key(session, 1, Wire::kVarint);
  put_varint(session, kStart);
  std::string event = event_at(step, time);
  put_text(event, 7, session);
  write(event);
}

// In one call: a reader, or a kill, finds whole events but for the last.
void EventFile::write(std::string_view event) {
  std::string frame;
  put(frame, static_cast<uint64_t>(event.size()));
  put(frame, masked(crc32c(frame)));
  frame += event;
  put(frame, masked(crc32c(event)));
  if (!file_.write_all(frame.data(), frame.size())) throw_errno("write", path_);
}

std::string event_file_name(const std::string& folder, int64_t generation, const std::string& host) {
  return fmt::format("{}/events.out.tfevents.{:010}.{}", folder, generation, host);
}

}  // namespace nexus
