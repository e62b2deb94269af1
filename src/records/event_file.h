// TensorBoard's event files: TFRecord frames (length and bytes, each with a masked CRC-32C) of `Event` messages.
//
// Written here byte by byte, since protobuf and TensorFlow's schemas would be a large dependency for five fields.
// Source of the format: tensorflow/core/util/event.proto, framework/summary.proto and lib/io/record_writer.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/file_descriptor.h"
#include "records/scalars.h"

namespace nexus {

uint32_t crc32c(std::string_view bytes);  // Castagnoli, as of RFC 3720

class EventFile {
 public:
  // Makes `path` with the event that names the format's version at `time` (Unix seconds); an existing file is replaced.
  // Throws ErrorKind::kIo.
  EventFile(std::string path, double time);

  // `step` is the place on the horizontal axis. TensorBoard stores values as f32.
  void add(int64_t step, double time, const Scalars& scalars);
  // Readers drop what any file of the folder has from `step` on: a run goes on from before it.
  void restart(int64_t step, double time);

 private:
  void write(std::string_view event);
  std::string path_;
  FileDescriptor file_;
};

// "FOLDER/events.out.tfevents.GENERATION.HOST" of a launch. TensorBoard reads a folder's files in the order of their
// names, so the generation has ten digits: clocks of hosts differ.
std::string event_file_name(const std::string& folder, int64_t generation, const std::string& host);

}  // namespace nexus
