#include "cuda/matmul_choices.h"

#include <cctype>
#include <sstream>

#include "core/files.h"
#include "core/hash.h"
#include "core/log.h"

namespace nexus::cuda {

namespace {

constexpr size_t kWords = sizeof(MatmulAlgorithm::data) / sizeof(uint64_t), kDigits = 16;

// "cublaslt-130002-nvidia-h200-132.txt": the library's version, and the device with its number of multiprocessors,
// because a part of a GPU bears the name of the whole.
std::string file_name(int device) {
  cudaDeviceProp facts{};
  NX_CUDA(cudaGetDeviceProperties(&facts, device));
  std::string name = facts.name;
  for (char& letter : name) {
    const unsigned char code = static_cast<unsigned char>(letter);
    letter = std::isalnum(code) ? static_cast<char>(std::tolower(code)) : '-';
  }
  return fmt::format("cublaslt-{}-{}-{}.txt", MatmulLibrary::version(), name, facts.multiProcessorCount);
}

std::string to_hex(const MatmulAlgorithm& algorithm) {
  std::string text;
  for (const uint64_t word : algorithm.data) text += fmt::format("{:016x}", word);
  return text;
}

std::optional<MatmulAlgorithm> from_hex(const std::string& text) {
  if (text.size() != kWords * kDigits || text.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
  MatmulAlgorithm algorithm{};
  for (size_t i = 0; i < kWords; ++i) algorithm.data[i] = std::stoull(text.substr(i * kDigits, kDigits), nullptr, 16);
  return algorithm;
}

std::string checksum(const std::string& text) {
  return hash_text(text).substr(0, kDigits);
}

// Takes " LABEL VALUE" off the end of a line; empty where the line does not end so.
std::string take_last(std::string& line, const std::string& label) {
  const size_t at = line.rfind(" " + label + " ");
  if (at == std::string::npos) return "";
  const std::string value = line.substr(at + label.size() + 2);
  line.resize(at);
  return value;
}

}  // namespace

MatmulChoices::MatmulChoices(const std::string& folder, int device) : folder_(folder) {
  if (folder.empty()) return;
  path_ = folder + "/" + file_name(device);
  writable_ = true;
  read();
}

void MatmulChoices::read() {
  if (!seems_to_exist(path_)) return;
  try {
    std::istringstream lines(read_text_file(path_));
    int64_t broken = 0;
    for (std::string line; std::getline(lines, line);)
      if (!line.empty() && !read_line(line)) ++broken;
    if (broken > 0) warn("{}: {} broken lines are ignored; delete the file to be rid of them", path_, broken);
  } catch (const Error& error) {
    warn("matrix products are timed again: {}", error.what());
  }
}

bool MatmulChoices::read_line(const std::string& line) {
  std::string rest = line;
  const std::string sum = take_last(rest, "sum");
  if (sum.empty() || sum != checksum(rest)) return false;
  const std::optional<MatmulAlgorithm> algorithm = from_hex(take_last(rest, "algo"));
  if (!algorithm || take_last(rest, "us").empty()) return false;
  algorithms_[rest] = *algorithm;
  return true;
}

std::optional<MatmulAlgorithm> MatmulChoices::find(const MatmulKey& key) const {
  const auto found = algorithms_.find(key.text());
  if (found == algorithms_.end()) return {};
  return found->second;
}

void MatmulChoices::add(const MatmulKey& key, const MatmulAlgorithm& algorithm, double microseconds) {
  const std::string key_text = key.text();
  algorithms_[key_text] = algorithm;
  if (!writable_) return;
  const std::string line = fmt::format("{} us {:.1f} algo {}", key_text, microseconds, to_hex(algorithm));
  try {
    if (!begun_) {
      make_folders(folder_);
      end_torn_line(path_);
      begun_ = true;
    }
    append_line(path_, fmt::format("{} sum {}", line, checksum(line)));
  } catch (const Error& error) {
    writable_ = false;
    warn("choices of matrix kernels are not remembered: {}", error.what());
  }
}

}  // namespace nexus::cuda
