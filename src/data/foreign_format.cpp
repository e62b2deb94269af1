#include "data/foreign_format.h"

#include <algorithm>
#include <array>

#include "core/error.h"

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
    Format{"\x04\x22\x4D\x18"sv, 0, "an lz4 file", "unpack it first: lz4 -dc FILE > TEXT"},
    Format{"\x02\x21\x4C\x18"sv, 0, "an lz4 file", "unpack it first: lz4 -dc FILE > TEXT"},
    Format{"\xFD\x37\x7A\x58\x5A\x00"sv, 0, "an xz file inside an archive", "unpack it first: xz -dc FILE > TEXT"},
    Format{"\x28\xB5\x2F\xFD"sv, 0, "a zstd file inside an archive", "unpack it first: zstd -dc FILE > TEXT"},
    Format{"\x5D\x00\x00"sv, 0, "a file of the old lzma format", "unpack it first: xz -dc --format=lzma FILE > TEXT"},
    Format{"LZIP\x01"sv, 0, "an lzip file", "unpack it first: lzip -dc FILE > TEXT"},
    Format{"\x1F\x9D"sv, 0, "a file packed by compress (.Z)", "unpack it first: zcat FILE > TEXT"},
    Format{"\xFF\x06\x00\x00sNaPpY"sv, 0, "a snappy file", "unpack it first"},
    Format{"PAR1"sv, 0, "a Parquet file", "write its text column as JSON lines, and build with --documents jsonl"},
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

// Three of these magic numbers are letters, which a text may begin with: more of the format is asked for.
bool confirmed(const Format& format, std::string_view start) {
  const auto at = [&](size_t i) { return i < start.size() ? static_cast<uint8_t>(start[i]) : 0; };
  if (format.magic == "BZh")
    return start.substr(4).starts_with("1AY&SY") || start.substr(4).starts_with("\x17\x72\x45\x38\x50\x90");
  if (format.magic == "PAR1") return at(4) < 0x20 && at(4) != '\n' && at(4) != '\r';
  if (format.magic == "%PDF-") return at(5) >= '0' && at(5) <= '9' && at(6) == '.';
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

// Of any script: paired surrogates, no control characters, and at least one character of ASCII, such as a line end.
bool reads_as_utf16(std::string_view start, bool big_endian) {
  bool has_ascii = false, inside_pair = false;
  for (size_t i = 0; i + 1 < start.size(); i += 2) {
    const auto first = static_cast<uint8_t>(start[i]), second = static_cast<uint8_t>(start[i + 1]);
    const unsigned unit = big_endian ? first * 256u + second : second * 256u + first;
    const bool is_low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (is_low != inside_pair || unit >= 0xFFFE) return false;
    if (unit < 0x20 && unit != '\n' && unit != '\r' && unit != '\t' && unit != '\f') return false;
    inside_pair = unit >= 0xD800 && unit <= 0xDBFF;
    has_ascii = has_ascii || unit < 0x80;
  }
  return has_ascii;
}

[[noreturn]] void refuse_unmarked(const char* encoding, const std::string& where) {
  throw Error(ErrorKind::kData, fmt::format("this is {} text without a byte order mark, not UTF-8", encoding), where,
              fmt::format("convert it first: iconv -f {} -t UTF-8 FILE > TEXT", encoding));
}

}  // namespace

void refuse_foreign_format(std::string_view start, const std::string& path) {
  for (const Format& format : kFormats)
    if (start.size() >= format.offset && start.substr(format.offset).starts_with(format.magic) &&
        confirmed(format, start))
      throw Error(ErrorKind::kData, fmt::format("this is {}, not UTF-8 text", format.name), path, format.cure);
  if (start.size() >= 16 && std::all_of(start.begin(), start.end(), [](char c) { return c == '\0'; }))
    throw Error(ErrorKind::kData, "this file begins with zero bytes only: it was never written, or is damaged", path,
                "fetch the file again");
  if (const char* encoding = encoding_by_zero_bytes(start)) refuse_unmarked(encoding, path);
}

void refuse_encoding(std::string_view start, const std::string& what, const std::string& where) {
  for (const bool big_endian : {false, true})
    if (reads_as_utf16(start, big_endian)) refuse_unmarked(big_endian ? "UTF-16BE" : "UTF-16LE", where);
  const auto is_control = [](char c) {
    return static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != '\b' &&
           c != '\x1B';
  };
  const auto controls = static_cast<size_t>(std::count_if(start.begin(), start.end(), is_control));
  if (controls * 50 > start.size())
    throw Error(ErrorKind::kData, "this is binary data, not text: " + what, where,
                "name files with text; `file FILE` tells what this one is");
  throw Error(
      ErrorKind::kData, what, where,
      "find out its encoding (`file -i FILE` guesses), then convert it: iconv -f ENCODING -t UTF-8 FILE > TEXT");
}

}  // namespace nexus
