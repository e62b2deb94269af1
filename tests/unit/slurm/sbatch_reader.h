// How sbatch reads the #SBATCH lines of a script: its tokenizer (slurm, src/sbatch/opt.c, _get_argument), word by word.
#pragma once

#include <cctype>
#include <sstream>
#include <string>
#include <vector>

namespace nexus {

inline std::vector<std::string> words_of_sbatch_line(const std::string& line) {
  std::vector<std::string> words;
  size_t at = std::string("#SBATCH").size();
  for (;;) {
    while (at < line.size() && std::isspace(static_cast<unsigned char>(line[at])) != 0) ++at;
    if (at >= line.size() || line[at] == '#') return words;
    std::string word;
    bool escaped = false, quoted = false;
    char quote = 0;
    for (; at < line.size() && (quoted || std::isspace(static_cast<unsigned char>(line[at])) == 0); ++at) {
      const char c = line[at];
      if (escaped) {
        escaped = false;
      } else if (c == '\\') {
        escaped = true;
        continue;
      } else if (quoted && c == quote) {
        quoted = false;
        continue;
      } else if (!quoted && (c == '"' || c == '\'')) {
        quoted = true;
        quote = c;
        continue;
      } else if (!quoted && c == '#') {
        break;
      }
      word += c;
    }
    words.push_back(word);
  }
}

// The options of a script in order: sbatch stops at the first line that is neither empty nor a comment.
inline std::vector<std::string> sbatch_options(const std::string& script) {
  std::vector<std::string> options;
  std::istringstream lines(script);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#SBATCH"))
      for (const std::string& word : words_of_sbatch_line(line)) options.push_back(word);
    else if (!line.empty() && line[0] != '#')
      break;
  }
  return options;
}

}  // namespace nexus
