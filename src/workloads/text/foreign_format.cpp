#include "workloads/text/foreign_format.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>

#include "core/error.h"
#include "workloads/text/text_guard.h"

namespace nexus {
namespace {

using namespace std::string_view_literals;

struct Format {
  std::string_view magic;
  size_t offset;
  const char* name;
  const char* cure;
};

// UTF-32 stands before UTF-16, whose mark it begins with.
constexpr std::array kFormats = {
    Format{"\x1F\x8B"sv, 0, "a gzip file", "unpack it first: zcat FILE > TEXT (.xz and .zst are read as they are)"},
    Format{"BZh"sv, 0, "a bzip2 file", "unpack it first: bzcat FILE > TEXT (.xz and .zst are read as they are)"},
    Format{"PK\x03\x04"sv, 0, "a zip archive", "unpack it first: unzip FILE; then name the texts in it"},
    Format{"PK\x05\x06"sv, 0, "an empty zip archive", "name a file with text"},
    Format{"7z\xBC\xAF\x27\x1C"sv, 0, "a 7z archive", "unpack it first: 7z x FILE; then name the texts in it"},
    Format{"Rar!\x1A\x07"sv, 0, "a rar archive", "unpack it first: unrar x FILE; then name the texts in it"},
    Format{"ustar"sv, 257, "a tar archive", "unpack it first: tar -xf FILE; then name the texts in it"},
    Format{"!<arch>\n"sv, 0, "an ar archive", "unpack it first: ar x FILE; then name the texts in it"},
    Format{"07070"sv, 0, "a cpio archive", "unpack it first: cpio -id < FILE; then name the texts in it"},
    Format{"\xC7\x71"sv, 0, "a cpio archive", "unpack it first: cpio -id < FILE; then name the texts in it"},
    Format{"Obj\x01"sv, 0, "an Avro file", "write its text field as JSON lines, and build with --documents jsonl"},
    Format{"\x04\x22\x4D\x18"sv, 0, "an lz4 file", "unpack it first: lz4 -dc FILE > TEXT"},
    Format{"\x02\x21\x4C\x18"sv, 0, "an lz4 file", "unpack it first: lz4 -dc FILE > TEXT"},
    Format{"\xFD\x37\x7A\x58\x5A\x00"sv, 0, "an xz file inside an archive", "unpack it first: xz -dc FILE > TEXT"},
    Format{"\x28\xB5\x2F\xFD"sv, 0, "a zstd file inside an archive", "unpack it first: zstd -dc FILE > TEXT"},
    Format{"\x5D\x00\x00"sv, 0, "a file of the old lzma format", "unpack it first: xz -dc --format=lzma FILE > TEXT"},
    Format{"LZIP\x01"sv, 0, "an lzip file", "unpack it first: lzip -dc FILE > TEXT"},
    Format{"\x1F\x9D"sv, 0, "a file packed by compress (.Z)", "unpack it first: zcat FILE > TEXT"},
    Format{"\xFF\x06\x00\x00sNaPpY"sv, 0, "a snappy file", "unpack it first"},
    Format{"PAR1"sv, 0, "a Parquet file",
           "write it as JSON lines, and build with --documents jsonl --field COLUMN; with pandas and pyarrow: "
           "pandas.read_parquet(FILE).to_json(FILE.jsonl, orient='records', lines=True, force_ascii=False)"},
    Format{"ARROW1\x00"sv, 0, "an Arrow file", "write its text column as JSON lines, and build with --documents jsonl"},
    Format{"\x89HDF\r\n\x1A\n"sv, 0, "an HDF5 file", "write its text as JSON lines, and build with --documents jsonl"},
    Format{"SQLite format 3\x00"sv, 0, "an SQLite database", "write its text as JSON lines (--documents jsonl)"},
    Format{"\x93NUMPY"sv, 0, "a NumPy array", "name a file with text"},
    Format{"%PDF-"sv, 0, "a PDF document", "extract its text first: pdftotext FILE TEXT"},
    Format{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, 0, "an old Office document", "save it as UTF-8 text first"},
    Format{"\x7F"
           "ELF"sv,
           0, "a program", "name a file with text"},
    Format{"MMIDIDX"sv, 0, "the index of a token file", "name the text; token files are named by their prefix"},
    Format{"\xFF\xFE\x00\x00"sv, 0, "UTF-32 text", "convert it first: iconv -f UTF-32 -t UTF-8 FILE > TEXT"},
    Format{"\x00\x00\xFE\xFF"sv, 0, "UTF-32 text", "convert it first: iconv -f UTF-32 -t UTF-8 FILE > TEXT"},
    Format{"\xFF\xFE"sv, 0, "UTF-16 text", "convert it first: iconv -f UTF-16 -t UTF-8 FILE > TEXT"},
    Format{"\xFE\xFF"sv, 0, "UTF-16 text", "convert it first: iconv -f UTF-16 -t UTF-8 FILE > TEXT"},
};

// A header without a magic number, as the oldest tar writes it: its checksum counts itself as blanks.
bool is_tar_header(std::string_view start) {
  constexpr size_t kHeader = 512, kChecksum = 148, kChecksumEnd = 156;
  if (start.size() < kHeader) return false;
  unsigned sum = 0, written = 0, digits = 0;
  for (size_t i = 0; i < kHeader; ++i)
    sum += i >= kChecksum && i < kChecksumEnd ? ' ' : static_cast<unsigned>(static_cast<uint8_t>(start[i]));
  for (size_t i = kChecksum; i < kChecksumEnd; ++i) {
    if (start[i] < '0' || start[i] > '7') continue;
    written = written * 8 + static_cast<unsigned>(start[i] - '0');
    ++digits;
  }
  return digits >= 4 && written == sum;
}

// Four of these magic numbers are letters or digits, which a text may begin with: more of the format is asked for.
bool confirmed(const Format& format, std::string_view start) {
  const auto at = [&](size_t i) { return i < start.size() ? static_cast<uint8_t>(start[i]) : 0; };
  if (format.magic == "BZh")
    return start.substr(4).starts_with("1AY&SY") || start.substr(4).starts_with("\x17\x72\x45\x38\x50\x90");
  if (format.magic == "PAR1") return at(4) < 0x20 && at(4) != '\n' && at(4) != '\r';
  if (format.magic == "%PDF-") return at(5) >= '0' && at(5) <= '9' && at(6) == '.';
  if (format.magic == "07070") return at(5) != 0 && at(5) < '8' && start.substr(0, 256).find('\0') != start.npos;
  if (format.magic == "\x5D\x00\x00"sv) return start.size() >= 13 && (at(12) == 0x00 || at(12) == 0xFF);
  return true;
}

// The encoding of text without a byte order mark that is mostly Latin: every other byte of UTF-16 is zero then, and two
// of four of UTF-32 whatever the script. Null where the zero bytes lie otherwise.
const char* encoding_by_zero_bytes(std::string_view start) {
  const size_t quads = start.size() / 4;
  if (quads < 2) return nullptr;
  std::array<size_t, 4> zeros = {};  // by place in four bytes
  for (size_t i = 0; i < 4 * quads; ++i) zeros[i % 4] += start[i] == '\0' ? 1 : 0;
  // A character of another script between Latin ones does not hide the pattern.
  const size_t most = quads * 6 / 10, few = quads / 20;
  if (zeros[2] + zeros[3] == 2 * quads && zeros[0] <= few) return "UTF-32LE";
  if (zeros[0] + zeros[1] == 2 * quads && zeros[3] <= few) return "UTF-32BE";
  if (std::min(zeros[1], zeros[3]) >= most && std::max(zeros[0], zeros[2]) <= few) return "UTF-16LE";
  if (std::min(zeros[0], zeros[2]) >= most && std::max(zeros[1], zeros[3]) <= few) return "UTF-16BE";
  return nullptr;
}

bool is_blank(unsigned unit) {
  return unit == ' ' || unit == '\n' || unit == '\r' || unit == '\t';
}

// Of any script: paired surrogates, no control characters, no private ones, and some character of ASCII, such as a line
// end, or else few scripts. How many blanks there are; nothing where it is no such text.
std::optional<size_t> blanks_of_utf16(std::string_view bytes, bool big_endian) {
  bool has_ascii = false, inside_pair = false;
  size_t blanks = 0;
  std::array<bool, 256> rows = {};  // high bytes that occur: a script has a few
  for (size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const auto first = static_cast<uint8_t>(bytes[i]), second = static_cast<uint8_t>(bytes[i + 1]);
    const unsigned unit = big_endian ? first * 256u + second : second * 256u + first;
    const bool is_low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (is_low != inside_pair || unit >= 0xFFFE || (unit >= 0xE000 && unit < 0xF900)) return std::nullopt;
    if (unit < 0x20 && !is_blank(unit) && unit != '\f') return std::nullopt;
    inside_pair = unit >= 0xD800 && unit <= 0xDBFF;
    has_ascii = has_ascii || unit < 0x80;
    blanks += is_blank(unit) ? 1 : 0;
    rows[unit >> 8] = true;
  }
  const auto scripts = static_cast<size_t>(std::count(rows.begin(), rows.end(), true));
  if (bytes.size() < 4 || (!has_ascii && scripts * 16 > bytes.size())) return std::nullopt;
  return blanks;
}

// UTF-8 for all that a zero byte or the like may stand in it: mostly visible ASCII, or whole characters of several
// bytes. UTF-16 that is valid UTF-8 has next to no bytes above 0x7F.
bool is_mostly_utf8(std::string_view bytes) {
  const auto count = [&](auto is) { return static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), is)); };
  if (count([](char c) { return c >= 0x20 && c < 0x7F; }) * 4 > bytes.size() * 3) return true;
  const auto continues = [](char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; };
  const auto* const begin = std::find_if_not(bytes.begin(), bytes.end(), continues);
  Utf8Checker utf8;
  return !utf8.feed(bytes.substr(static_cast<size_t>(begin - bytes.begin()))) &&
         count([](char c) { return static_cast<uint8_t>(c) >= 0x80; }) * 20 > bytes.size();
}

// "UTF-16LE" or "UTF-16BE" of bytes that begin with a character; null where they are neither.
const char* utf16_of(std::string_view little, std::string_view big) {
  if (is_mostly_utf8(little)) return nullptr;
  const auto as_little = blanks_of_utf16(little, false), as_big = blanks_of_utf16(big, true);
  if (!as_little && !as_big) return nullptr;
  // Read in the wrong order, a blank becomes some other character.
  return as_little && (!as_big || *as_little >= *as_big) ? "UTF-16LE" : "UTF-16BE";
}

// The encoding that begins, or goes on, at the zero byte block[at]: it is the upper half of an ASCII character in
// UTF-16, and one of two or three such bytes in UTF-32. Null where it is something else.
const char* encoding_at_zero(std::string_view block, size_t at) {
  constexpr size_t kLook = 512, kLeast = 16;
  if (block.size() - at < kLeast) at -= std::min(at, kLook) / 4 * 4;
  for (const size_t before : {0, 1, 2})
    if (at >= before)
      if (const char* found = encoding_by_zero_bytes(block.substr(at - before, kLook));
          found != nullptr && std::string_view(found).starts_with("UTF-32"))
        return found;
  // In Latin every other byte is zero: either order reads well, and only the byte before tells which one began here. A
  // line end belongs to the text before.
  if (encoding_by_zero_bytes(block.substr(at, kLook)) != nullptr)
    return at == 0 || block[at - 1] == '\n' ? "UTF-16BE" : "UTF-16LE";
  return utf16_of(block.substr(at - std::min<size_t>(at, 1), kLook), block.substr(at, kLook));
}

[[noreturn]] void refuse_unmarked(const char* encoding, const std::string& where) {
  throw Error(ErrorKind::kData, fmt::format("this is {} text without a byte order mark, not UTF-8", encoding), where,
              fmt::format("convert it first: iconv -f {} -t UTF-8 FILE > TEXT", encoding));
}

[[noreturn]] void refuse_joined(const std::string& encoding, const std::string& where) {
  throw Error(ErrorKind::kData,
              fmt::format("from here on this is {} text: files of two encodings were joined", encoding), where,
              fmt::format("convert each to UTF-8 before joining: iconv -f {} -t UTF-8 FILE > TEXT", encoding));
}

// As binary data has them: far more than some stray ones.
bool has_many_controls(std::string_view bytes) {
  const size_t controls = count_control_characters(bytes);
  return controls >= 4 && controls * 50 > bytes.size();
}

}  // namespace

void refuse_foreign_format(std::string_view start, const std::string& path) {
  for (const Format& format : kFormats)
    if (start.size() >= format.offset && start.substr(format.offset).starts_with(format.magic) &&
        confirmed(format, start))
      throw Error(ErrorKind::kData, fmt::format("this is {}, not UTF-8 text", format.name), path, format.cure);
  if (is_tar_header(start))
    throw Error(ErrorKind::kData, "this is a tar archive, not UTF-8 text", path,
                "unpack it first: tar -xf FILE; then name the texts in it");
  if (start.size() >= 16 && std::all_of(start.begin(), start.end(), [](char c) { return c == '\0'; }))
    throw Error(ErrorKind::kData, "this file begins with zero bytes only: it was never written, or is damaged", path,
                "fetch the file again");
  if (const char* encoding = encoding_by_zero_bytes(start)) refuse_unmarked(encoding, path);
}

size_t count_control_characters(std::string_view text) {
  static const std::array<uint8_t, 256> is_control = [] {
    std::array<uint8_t, 256> table = {};
    for (const int c : {0, 1, 2, 3, 4, 5, 6, 7, 11}) table[static_cast<size_t>(c)] = 1;
    for (size_t c = 14; c < 0x20; ++c) table[c] = c == 0x1B ? 0 : 1;
    table[0x7F] = 1;
    return table;
  }();
  size_t count = 0;
  for (const char c : text) count += is_control[static_cast<uint8_t>(c)];
  return count;
}

void refuse_as_no_text(const NoText& found) {
  constexpr size_t kRun = 16;
  if (const char* encoding = utf16_of(found.start, found.start)) refuse_unmarked(encoding, found.where);
  const std::string_view rest = found.block.substr(found.at);
  const bool is_zero = rest.starts_with('\0');
  if (rest.starts_with("\xFF\xFE") || rest.starts_with("\xFE\xFF")) refuse_joined("UTF-16", found.where);
  if (rest.size() >= kRun && rest.find_first_not_of('\0') >= kRun)
    throw Error(ErrorKind::kData,
                found.what + " (nor do those that follow it): the file is damaged, or was not written whole",
                found.where, "fetch or write the file again");
  if (is_zero)
    if (const char* encoding = encoding_at_zero(found.block, found.at)) refuse_joined(encoding, found.where);
  if (has_many_controls(found.start) || has_many_controls(rest.substr(0, kFormatStartBytes)))
    throw Error(ErrorKind::kData, "this is binary data, not text: " + found.what, found.where,
                "name files with text; `file FILE` tells what this one is");
  if (is_zero)
    throw Error(ErrorKind::kData, found.what, found.where,
                "find out how it came there; where the rest is text: tr -d '\\000' < FILE > TEXT");
  throw Error(
      ErrorKind::kData, found.what, found.where,
      "find out its encoding (`file -i FILE` guesses), then convert it: iconv -f ENCODING -t UTF-8 FILE > TEXT");
}

}  // namespace nexus
