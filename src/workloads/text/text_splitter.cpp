#include "workloads/text/text_splitter.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "system/progress_bar.h"

namespace nexus {
namespace {

[[noreturn]] void refuse_changed_text() {
  throw Error(ErrorKind::kData, "the text has changed while it was read", "nexus data build",
              "run it again when nothing writes to the files");
}

// The first line end, or else space, at or after `from`: the tail begins behind the one and at the other.
size_t border_after(const TextPiece& piece, size_t from) {
  size_t border = piece.text.find('\n', from);
  if (border != std::string::npos) ++border;
  const bool nothing_left = border == piece.text.size() && piece.ends_document;
  if (border == std::string::npos || nothing_left) border = piece.text.find(' ', std::max<size_t>(from, 1));
  return border;
}

struct NearBorder {
  size_t border = 0;
  bool at_blank = false;
};

// A border at most `reach` bytes from `from`: at the nearest blank, else between two characters. Only where the text
// begins its document, 0 is none.
NearBorder border_near(const TextPiece& piece, size_t from, size_t reach) {
  const std::string& text = piece.text;
  const auto is_border = [&](size_t i) { return i > 0 && i < text.size() && (text[i] == ' ' || text[i - 1] == '\n'); };
  for (size_t distance = 0; distance <= std::min(reach, text.size()); ++distance) {
    if (is_border(from + distance)) return {from + distance, true};
    if (distance < from && is_border(from - distance)) return {from - distance, true};
  }
  const auto continues = [&](size_t i) { return (static_cast<uint8_t>(text[i]) & 0xC0) == 0x80; };
  size_t border = from;
  while (border > 0 && continues(border)) --border;
  if (border == 0 && piece.begins_document)
    for (border = 1; border < text.size() && continues(border);) ++border;
  return {border, false};
}

// Finds where the tails of documents begin, as the pieces of the text come.
class TailFinder {
 public:
  TailFinder(const TextSurvey& survey, double share) : survey_(survey), share_(share) {}

  void add(const TextPiece& piece) {
    if (piece.begins_document) begin_document();
    const auto begin = offset_bytes_, size = static_cast<int64_t>(piece.text.size());
    offset_bytes_ += size;
    if (is_short_ || wanted_ >= offset_bytes_) return;
    const auto from = static_cast<size_t>(std::max<int64_t>(wanted_ - begin, 0));
    if (wanted_ >= begin) {
      const NearBorder found = border_near(piece, from, static_cast<size_t>(half_share_));
      near_ = begin + static_cast<int64_t>(found.border);
      blank_is_near_ = found.at_blank;
    }
    if (first_ < 0)
      if (const size_t border = border_after(piece, from); border != std::string::npos)
        first_ = begin + static_cast<int64_t>(border);
    if (piece.ends_document) end_document();
  }

  std::vector<int64_t> finish() {
    if (starts_.size() != survey_.document_bytes.size()) refuse_changed_text();
    const auto text_bytes = static_cast<double>(survey_.text_bytes);
    if (static_cast<double>(late_bytes_) > TextSplitter::kFewLate * text_bytes)
      for (const size_t document : late_) starts_[document] = nears_[document];
    int64_t held_out_bytes = 0;
    for (size_t i = 0; i < starts_.size(); ++i) held_out_bytes += survey_.document_bytes[i] - starts_[i];
    if (static_cast<double>(held_out_bytes) < TextSplitter::kAboutShare * static_cast<double>(wanted_bytes_))
      starts_ = nears_;
    hold_out_short();
    return std::move(starts_);
  }

 private:
  void begin_document() {
    if (starts_.size() == survey_.document_bytes.size()) refuse_changed_text();
    bytes_ = survey_.document_bytes[starts_.size()];
    wanted_ = static_cast<int64_t>(std::ceil(static_cast<double>(bytes_) * (1 - share_)));
    half_share_ = std::max<int64_t>((bytes_ - wanted_) / 2, 1);
    is_short_ = static_cast<double>(bytes_) * share_ < TextSplitter::kLeastTailBytes;
    if (is_short_) short_.push_back(starts_.size());
    offset_bytes_ = 0;
    near_ = bytes_;
    first_ = -1;
    starts_.push_back(bytes_);
    nears_.push_back(bytes_);
    if (!is_short_) wanted_bytes_ += bytes_ - wanted_;
  }

  void end_document() {
    int64_t& start = starts_.back();
    start = nears_.back() = near_;
    if (first_ < 0) return;
    if (bytes_ - first_ >= half_share_) {
      start = first_;
    } else if (blank_is_near_) {
      start = first_;
      late_bytes_ += bytes_;
      late_.push_back(starts_.size() - 1);
    }
  }

  void hold_out_short() {
    const size_t count = short_.size();
    auto held_out = static_cast<size_t>(std::lround(static_cast<double>(count) * share_));
    if (held_out == starts_.size()) held_out = 0;  // the only document: nothing would be left to train on
    // One of each run of neighbours, so that no part of the text is passed over; at random, so that no pattern is met.
    const RandomStream stream(0, "data split");
    for (size_t i = 0; i < held_out; ++i) {
      const size_t first = count * i / held_out, last = count * (i + 1) / held_out;
      starts_[short_[first + stream.below(i, last - first)]] = 0;
    }
  }

  const TextSurvey& survey_;
  double share_;
  std::vector<int64_t> starts_, nears_;  // as described in the header; of the border that is nearest to the share
  std::vector<size_t> short_;            // documents that are held out whole, if at all
  std::vector<size_t> late_;             // those with blanks whose first border leaves less than half of the share
  int64_t late_bytes_ = 0, wanted_bytes_ = 0;
  // Of the open document.
  int64_t bytes_ = 0, wanted_ = 0, half_share_ = 0, offset_bytes_ = 0, near_ = 0;
  int64_t first_ = -1;  // the first border at a blank; -1: none yet
  bool is_short_ = false, blank_is_near_ = false;
};

bool holds_out_whole_documents(const TextSurvey& survey, double valid_share) {
  return static_cast<double>(survey.documents) * valid_share >= TextSplitter::kWholeDocuments ||
         survey.document_bytes.empty();
}

}  // namespace

TextSplitter::TextSplitter(const TextSurvey& survey, double valid_share, DocumentReader reader)
    : valid_share_(valid_share),
      document_bytes_(survey.document_bytes),
      long_bytes_(kLong * valid_share * static_cast<double>(survey.text_bytes)) {
  NX_CHECK(valid_share >= 0 && valid_share < 1, "{}", valid_share);
  if (valid_share == 0 || holds_out_whole_documents(survey, valid_share)) return;
  Progress progress("data division", survey.text_bytes, "bytes");
  TailFinder tails(survey, valid_share);
  int64_t done_bytes = 0;
  while (const std::optional<TextPiece> piece = reader.next()) {
    tails.add(*piece);
    progress.update(done_bytes += static_cast<int64_t>(piece->text.size()));
  }
  tail_starts_ = tails.finish();
}

bool TextSplitter::holds_out_nothing() const {
  return !tail_starts_.empty() && tail_starts_ == document_bytes_;
}

void TextSplitter::count_whole(const TextPiece& piece) {
  offset_bytes_ += static_cast<int64_t>(piece.text.size());
  if (!piece.ends_document || static_cast<double>(offset_bytes_) <= long_bytes_) return;
  ++long_documents_.count;
  long_documents_.bytes += offset_bytes_;
  if (part_ == Part::kValid) long_documents_.held_out_bytes += offset_bytes_;
}

std::vector<SplitPiece> TextSplitter::split(TextPiece piece) {
  if (piece.begins_document) {
    ++document_;
    offset_bytes_ = 0;
    const RandomStream stream(0, "data split");
    const bool held_out = splits_whole_documents() && stream.uniform(static_cast<uint64_t>(document_)) < valid_share_;
    part_ = held_out ? Part::kValid : Part::kTrain;
  }
  std::vector<SplitPiece> result;
  if (splits_whole_documents()) {
    count_whole(piece);
    result.push_back({std::move(piece), part_});
    return result;
  }
  if (document_ == static_cast<int64_t>(tail_starts_.size())) refuse_changed_text();
  const int64_t start = tail_starts_[static_cast<size_t>(document_)];
  const int64_t begin = offset_bytes_, end = begin + static_cast<int64_t>(piece.text.size());
  offset_bytes_ = end;
  if (start >= end) {
    piece.ends_document = piece.ends_document || start == end;
    result.push_back({std::move(piece), Part::kTrain});
    return result;
  }
  const auto border = static_cast<size_t>(std::max<int64_t>(start - begin, 0));
  if (border > 0) result.push_back({{piece.text.substr(0, border), piece.begins_document, true}, Part::kTrain});
  result.push_back({{piece.text.substr(border), start >= begin, piece.ends_document}, Part::kValid});
  return result;
}

std::optional<double> least_valid_share(const TextSurvey& survey, double largest_share) {
  if (survey.document_bytes.empty()) return TextSplitter::kWholeDocuments / static_cast<double>(survey.documents);
  const int64_t longest = *std::max_element(survey.document_bytes.begin(), survey.document_bytes.end());
  double share = TextSplitter::kLeastTailBytes / static_cast<double>(longest);
  if (survey.documents > 1) share = std::min(share, 0.5 / static_cast<double>(survey.documents));
  const double unit = std::pow(10, std::floor(std::log10(share)) - 1);
  share = std::ceil(share / unit) * unit;
  if (share > largest_share) return std::nullopt;
  return share;
}

}  // namespace nexus
