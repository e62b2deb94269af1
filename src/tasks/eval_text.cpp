#include "tasks/eval_text.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "core/files.h"
#include "tasks/task_items.h"
#include "workloads/text/token_file.h"
#include "workloads/text/token_file_content.h"
#include "workloads/text/token_file_info.h"

namespace nexus {
namespace {

// What separates words: Unicode's White_Space, and the separators 0x1C to 0x1F, as Python splits texts.
bool is_blank(uint32_t c) {
  return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

// The character that begins at `at`, which goes behind it. UTF-8 up to U+FFFF: no blank lies beyond.
uint32_t next_character(std::string_view text, size_t& at) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const uint32_t lead = byte(at);
  uint32_t c = lead;
  if (lead >= 0xE0 && lead < 0xF0) c = (lead & 0x0F) << 12 | (byte(at + 1) & 0x3F) << 6 | (byte(at + 2) & 0x3F);
  if (lead >= 0xC0 && lead < 0xE0) c = (lead & 0x1F) << 6 | (byte(at + 1) & 0x3F);
  if (lead >= 0xF0) c = 0xFFFD;
  for (++at; at < text.size() && (byte(at) & 0xC0) == 0x80;) ++at;
  return c;
}

TextSize operator+(TextSize a, TextSize b) {
  return {a.words + b.words, a.bytes + b.bytes};
}

// Before what has nothing before it; nothing: it stays so.
std::optional<int32_t> first_id(const TaskSources& source) {
  if (!source.encoding.bos) return std::nullopt;
  const int32_t id = source.tokenizer.bos_id() >= 0 ? source.tokenizer.bos_id() : source.tokenizer.eos_id();
  return id >= 0 ? std::optional(id) : std::nullopt;
}

class EvalTextReader {
 public:
  EvalTextReader(const TaskSpec& task, const TaskSources& source) : task_(task), source_(source) {}

  EvalText read() {
    if (!task_.text.files.empty())
      read_text();
    else
      read_tokens();
    for (const EvalText::Document& each : text_.documents) text_.size = text_.size + each.size;
    if (text_.ids.size() < 2)
      throw Error(ErrorKind::kData, "there is no text to be scored", text_.path, "name a file with text");
    return std::move(text_);
  }

 private:
  void read_text() {
    text_.path = find_task_file(source_.folder, task_.text.files, "the texts of task " + task_.name);
    DocumentReader reader({text_.path}, task_.text.documents, task_.text.field);
    bool inside_word = false;
    while (const std::optional<TextPiece> piece = reader.next()) {
      if (piece->begins_document) {
        begin_document();
        if (source_.encoding.bos && source_.tokenizer.bos_id() >= 0) text_.ids.push_back(source_.tokenizer.bos_id());
        inside_word = false;
      }
      const std::vector<int32_t> ids = piece->begins_document ? source_.tokenizer.encode(piece->text)
                                                              : source_.tokenizer.encode_continuation(piece->text);
      put_first_id(ids.empty() ? -1 : ids.front());
      text_.ids.insert(text_.ids.end(), ids.begin(), ids.end());
      text_.documents.back().size = text_.documents.back().size + text_size(piece->text, inside_word);
      text_.documents.back().tokens = end() - text_.documents.back().first;
    }
    text_.digest = reader.text_digests().front();
  }

  void read_tokens() {
    const TokenFile file(find_tokens());
    text_.path = file.prefix();
    text_.digest = content_of(file).bin_digest;
    text_.ids.reserve(static_cast<size_t>(file.tokens()) + 1);
    for (int64_t i = 0; i < file.documents(); ++i) {
      const TokenFile::Document document = file.document(i);
      if (document.tokens == 0) continue;
      std::vector<int32_t> ids(static_cast<size_t>(document.tokens));
      file.read(document.first_token, document.tokens, ids.data());
      check_ids(ids.data(), document.tokens, source_.vocab_size, file.prefix(), document.first_token);
      begin_document();
      put_first_id(ids.front());
      text_.ids.insert(text_.ids.end(), ids.begin(), ids.end());
      bool inside_word = false;
      text_.documents.back().size = text_size(source_.tokenizer.decode(ids), inside_word);
      text_.documents.back().tokens = end() - text_.documents.back().first;
    }
  }

  std::string find_tokens() const {
    if (task_.text.tokens.empty() && source_.valid.empty())
      throw Error(ErrorKind::kConfig,
                  fmt::format("task {} reads the run's validation tokens, and there are none", task_.name), "",
                  "name a checkpoint inside of its run folder, of a campaign with data.valid, or write tokens: PREFIX");
    if (task_.text.tokens.empty()) return source_.valid;
    for (const std::string& name : task_.text.tokens)
      if (std::string prefix = source_.folder + "/" + name; path_exists(prefix + ".idx")) return prefix;
    throw Error(ErrorKind::kConfig, fmt::format("the tokens of task {} are not there", task_.name),
                source_.folder + "/" + task_.text.tokens.front() + ".idx",
                "name the folder that holds the token file with --data");
  }

  int64_t end() const { return static_cast<int64_t>(text_.ids.size()); }
  void begin_document() { text_.documents.push_back({end(), 0, {}}); }

  // `next`: the id that would be the first one.
  void put_first_id(int32_t next) {
    const bool is_first = end() == (task_.text.by_document ? text_.documents.back().first : 0);
    const std::optional<int32_t> id = is_first ? first_id(source_) : std::nullopt;
    if (id && *id != next) text_.ids.push_back(*id);
  }

  const TaskSpec& task_;
  const TaskSources& source_;
  EvalText text_;
};

}  // namespace

TextSize text_size(std::string_view text, bool& inside_word) {
  TextSize size{0, static_cast<int64_t>(text.size())};
  for (size_t at = 0; at < text.size();) {
    const bool blank = is_blank(next_character(text, at));
    if (!blank && !inside_word) ++size.words;
    inside_word = !blank;
  }
  return size;
}

EvalText read_eval_text(const TaskSpec& task, const TaskSources& source) {
  EvalText text = EvalTextReader(task, source).read();
  if (!task.text.files.empty()) return text;
  const std::optional<TokenFileInfo> info = read_token_file_info(text.path);
  if (info && info->text_bytes > 0) text.size.bytes = info->text_bytes;
  return text;
}

std::vector<EvalWindow> make_windows(int64_t first, int64_t count, int64_t context, int64_t stride) {
  NX_CHECK(context > 0 && stride > 0 && stride <= context, "context {}, stride {}", context, stride);
  std::vector<EvalWindow> windows;
  for (int64_t end = 1; end < count;) {  // ids [first, first + end) are scored, or the first one
    const int64_t scored = std::min(end == 1 ? context : stride, count - end);
    end += scored;
    windows.push_back({first + std::max<int64_t>(0, end - context - 1), first + end, scored});
  }
  return windows;
}

}  // namespace nexus
