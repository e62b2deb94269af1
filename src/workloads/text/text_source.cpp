#include "workloads/text/text_source.h"

#include <lzma.h>
#include <zstd.h>

#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "data/input_file.h"

namespace nexus {
namespace {

constexpr size_t kPackedBlockBytes = 1 << 18;
constexpr uint64_t kDecoderMemoryBytes = 256 << 20;
// `zstd -19` uses windows of 2^23, `zstd --ultra` of 2^27 bytes; only `--long=28` and above ask for more.
constexpr int kZstdWindowLog = 27;

class PlainSource : public TextSource {
 public:
  explicit PlainSource(InputFile file) : file_(std::move(file)) {}
  size_t read(char* buffer, size_t size) override { return file_.read(buffer, size); }

 private:
  InputFile file_;
};

class XzSource : public TextSource {
 public:
  explicit XzSource(InputFile file) : file_(std::move(file)), block_(kPackedBlockBytes) {
    if (lzma_stream_decoder(&stream_, kDecoderMemoryBytes, LZMA_CONCATENATED) != LZMA_OK)
      throw Error(ErrorKind::kIo, "cannot start the xz decoder", file_.path(), "free some memory");
  }
  ~XzSource() override { lzma_end(&stream_); }
  XzSource(XzSource&&) = delete;

  size_t read(char* buffer, size_t size) override {
    stream_.next_out = reinterpret_cast<uint8_t*>(buffer);
    stream_.avail_out = size;
    while (!ended_ && stream_.avail_out == size) step();
    return size - stream_.avail_out;
  }

 private:
  void step() {
    if (stream_.avail_in == 0 && !input_ended_) {
      stream_.next_in = block_.data();
      stream_.avail_in = file_.read(block_.data(), block_.size());
      input_ended_ = stream_.avail_in == 0;
    }
    const lzma_ret status = lzma_code(&stream_, input_ended_ ? LZMA_FINISH : LZMA_RUN);
    if (status == LZMA_STREAM_END)
      ended_ = true;
    else if (status == LZMA_MEMLIMIT_ERROR)
      throw Error(ErrorKind::kData, "this .xz file needs more than 256 MiB to unpack", file_.path(), "unpack it first");
    else if (status != LZMA_OK)
      throw Error(ErrorKind::kData, status == LZMA_BUF_ERROR ? "truncated .xz file" : "damaged .xz file", file_.path(),
                  "fetch the file again");
  }

  InputFile file_;
  std::vector<uint8_t> block_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool input_ended_ = false, ended_ = false;
};

class ZstdSource : public TextSource {
 public:
  explicit ZstdSource(InputFile file)
      : file_(std::move(file)), block_(kPackedBlockBytes), stream_(ZSTD_createDStream(), &ZSTD_freeDStream) {
    if (!stream_) throw Error(ErrorKind::kIo, "cannot start the zstd decoder", file_.path(), "free some memory");
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kZstdWindowLog);
  }

  size_t read(char* buffer, size_t size) override {
    ZSTD_outBuffer out{buffer, size, 0};
    while (out.pos == 0) {
      if (in_.pos == in_.size) in_ = {block_.data(), file_.read(block_.data(), block_.size()), 0};
      // At the end of the input the decoder may still hold text: it is asked once more with no input.
      const bool no_input = in_.size == 0;
      const size_t status = ZSTD_decompressStream(stream_.get(), &out, &in_);
      if (ZSTD_isError(status))
        throw Error(ErrorKind::kData, fmt::format("damaged .zst file ({})", ZSTD_getErrorName(status)), file_.path(),
                    "fetch the file again, or unpack it first if it was packed with --long");
      const bool inside_frame = no_input ? frame_open_ : status != 0;
      frame_open_ = inside_frame;
      if (no_input && out.pos == 0) {
        if (frame_open_) throw Error(ErrorKind::kData, "truncated .zst file", file_.path(), "fetch the file again");
        break;
      }
    }
    return out.pos;
  }

 private:
  InputFile file_;
  std::vector<char> block_;
  std::unique_ptr<ZSTD_DStream, size_t (*)(ZSTD_DStream*)> stream_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool frame_open_ = false;
};

}  // namespace

std::unique_ptr<TextSource> open_text(const std::string& path) {
  using namespace std::string_view_literals;
  InputFile file(path);
  char magic[6] = {};
  size_t got = 0;
  for (size_t n = 1; got < sizeof magic && n > 0; got += n) n = file.read(magic + got, sizeof magic - got);
  file.rewind();
  // None of the byte sequences can begin a UTF-8 text. The last is a frame to be skipped, as pzstd begins its files
  // with.
  const std::string_view start(magic, got);
  if (start.starts_with("\xFD\x37\x7A\x58\x5A\x00"sv)) return std::make_unique<XzSource>(std::move(file));
  if (start.starts_with("\x28\xB5\x2F\xFD"sv)) return std::make_unique<ZstdSource>(std::move(file));
  if (got >= 4 && (static_cast<uint8_t>(start[0]) & 0xF0) == 0x50 && start.substr(1).starts_with("\x2A\x4D\x18"sv))
    return std::make_unique<ZstdSource>(std::move(file));
  return std::make_unique<PlainSource>(std::move(file));
}

}  // namespace nexus
