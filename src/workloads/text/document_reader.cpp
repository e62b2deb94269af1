#include "workloads/text/document_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/error.h"
#include "workloads/text/foreign_format.h"
#include "workloads/text/json_line.h"

namespace nexus {
namespace {

constexpr size_t kTextBlockBytes = 1 << 16;
constexpr size_t kMaxJsonLineBytes = 64 << 20;

constexpr std::array<std::pair<std::string_view, DocumentMode>, 4> kModes = {{{"file", DocumentMode::kFile},
                                                                              {"blank-line", DocumentMode::kBlankLine},
                                                                              {"line", DocumentMode::kLine},
                                                                              {"jsonl", DocumentMode::kJsonLines}}};

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Where to cut `text`, whose end is not the document's end (see the header). Never 0, never inside a character.
size_t cut_position(std::string_view text) {
  // Only the last quarter is searched, so that pieces stay long.
  const size_t least = text.size() - text.size() / 4;
  for (size_t i = text.size() - 1; i >= least; --i)
    if (text[i] == ' ' && !is_blank(text[i - 1])) return i;
  const size_t line_end = text.rfind('\n');
  if (line_end != std::string_view::npos && line_end >= least) return line_end + 1;
  size_t i = text.size() - 1;
  while (i > least && (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80) --i;
  return i;
}

}  // namespace

std::optional<DocumentMode> parse_document_mode(std::string_view name) {
  for (const auto& [known, mode] : kModes)
    if (known == name) return mode;
  return std::nullopt;
}

std::string document_mode_name(DocumentMode mode) {
  for (const auto& [name, known] : kModes)
    if (known == mode) return std::string(name);
  NX_CHECK(false);
}

void PieceCutter::append(std::string_view text) {
  while (!text.empty()) {
    // A full piece is cut only when more text follows, so the last piece of a document is never empty.
    if (pending_.size() == kPieceBytes) emit(cut_position(pending_), false);
    const size_t count = std::min(kPieceBytes - pending_.size(), text.size());
    pending_.append(text.substr(0, count));
    text.remove_prefix(count);
  }
}

void PieceCutter::end_document() {
  if (!pending_.empty()) emit(pending_.size(), true);
}

void PieceCutter::emit(size_t size, bool ends_document) {
  ready_.push_back({pending_.substr(0, size), !inside_document_, ends_document});
  pending_.erase(0, size);
  inside_document_ = !ends_document;
}

std::optional<TextPiece> PieceCutter::take() {
  if (ready_.empty()) return std::nullopt;
  TextPiece piece = std::move(ready_.front());
  ready_.pop_front();
  return piece;
}

DocumentReader::DocumentReader(std::vector<std::string> paths, DocumentMode mode, const std::string& json_field)
    : paths_(std::move(paths)), mode_(mode), json_field_(json_field), block_(kTextBlockBytes, '\0') {}

std::optional<TextPiece> DocumentReader::next() {
  for (;;) {
    if (std::optional<TextPiece> piece = cutter_.take()) return piece;
    if (!read_block()) return std::nullopt;
  }
}

std::string_view DocumentReader::open_next() {
  source_ = open_text(paths_[path_index_]);
  line_number_ = 0;
  size_t size = 0;
  for (size_t got = 1; got > 0 && size < kFormatStartBytes; size += got)
    got = source_->read(block_.data() + size, block_.size() - size);
  guard_ = TextGuard(paths_[path_index_], block_.substr(0, std::min(size, kFormatStartBytes)));
  return {block_.data(), size};
}

bool DocumentReader::read_block() {
  if (path_index_ == paths_.size()) return false;
  const bool opens = !source_;
  std::string_view block =
      opens ? open_next() : std::string_view(block_.data(), source_->read(block_.data(), block_.size()));
  guard_.feed(block);
  if (block.empty()) {
    end_file();
    text_digests_.push_back(std::exchange(hasher_, Hasher()).digest());
    source_.reset();
    ++path_index_;
    return true;
  }
  if (opens && block.starts_with("\xEF\xBB\xBF")) block.remove_prefix(3);
  hasher_.add(block.data(), block.size());
  consume(block);
  return true;
}

void DocumentReader::consume(std::string_view block) {
  if (mode_ == DocumentMode::kFile) return cutter_.append(block);
  while (!block.empty()) {
    const size_t end = block.find('\n');
    const std::string_view part = block.substr(0, end);
    // A line that may still turn out to be blank waits in line_; so does a whole line of JSON.
    line_ += part;
    line_has_text_ = line_has_text_ || !std::all_of(part.begin(), part.end(), is_blank);
    if (mode_ == DocumentMode::kJsonLines && line_.size() > kMaxJsonLineBytes)
      throw Error(ErrorKind::kData, "a JSON line is longer than 64 MiB",
                  fmt::format("{}:{}", paths_[path_index_], line_number_ + 1), "is this a JSON Lines file?");
    if (mode_ != DocumentMode::kJsonLines && line_has_text_) {
      if (std::exchange(separator_due_, false)) cutter_.append("\n");
      // The line's last blanks wait: a CR is dropped if the line ends there.
      const bool hold = line_.back() == '\r';
      cutter_.append(std::string_view(line_).substr(0, line_.size() - hold));
      line_.erase(0, line_.size() - hold);
    }
    if (end == std::string_view::npos) return;
    end_line();
    block.remove_prefix(end + 1);
  }
}

void DocumentReader::end_line() {
  ++line_number_;
  if (mode_ == DocumentMode::kJsonLines) {
    if (line_has_text_) add_json(line_);
  } else if (mode_ == DocumentMode::kLine) {
    cutter_.end_document();
  } else if (line_has_text_) {
    separator_due_ = true;
  } else {
    cutter_.end_document();
    separator_due_ = false;
  }
  line_.clear();
  line_has_text_ = false;
}

void DocumentReader::end_file() {
  if (!line_.empty() || line_has_text_) end_line();
  cutter_.end_document();
  separator_due_ = false;
}

void DocumentReader::add_json(const std::string& line) {
  cutter_.append(text_of_json_line(line, json_field_, {paths_[path_index_], line_number_}));
  cutter_.end_document();
}

}  // namespace nexus
