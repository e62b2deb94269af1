// Durable small files. "Durable or nothing": temporary name, fsync, rename, fsync of the folder.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace nexus {

// A whole regular file as text. Refuses anything that is no regular file, or larger than `max_bytes`
// (ErrorKind::kData).
std::string read_text_file(const std::string& path, int64_t max_bytes = 64 << 20);

// Replaces `path` atomically: readers see the old or the new content, also after a power cut.
void write_file_durably(const std::string& path, std::string_view content);

// Replaces `path` atomically, but not durably: for what describes the moment and may be lost with the machine. One
// writer.
void replace_file(const std::string& path, std::string_view content);

// Appends one line (with its newline) in a single write. `durable` adds an fsync.
void append_line(const std::string& path, std::string_view line, bool durable = false);

// Ends a last line that a killed writer left torn, so that the next one starts on its own. Nothing to do if there is no
// file.
void end_torn_line(const std::string& path);

void fsync_path(const std::string& path);    // a file or a folder
void make_folders(const std::string& path);  // like mkdir -p
// Whether something is there, links followed. Throws ErrorKind::kIo where that cannot be told (ESTALE, EIO, no
// permission): a passing trouble must not look like a file that was never written.
bool path_exists(const std::string& path);
// The same for those who may not throw and can ask again: what cannot be told is not there.
bool seems_to_exist(const std::string& path) noexcept;

// Renames and fsyncs both parents.
void rename_durably(const std::string& from, const std::string& to);

}  // namespace nexus
