// The texts of slurm/*.in, built into the program (embed.cmake), and how their @PLACES@ are filled.
#pragma once

#include <map>
#include <string>

namespace nexus {

extern const char* const kJobTemplate;
extern const char* const kSrunTemplate;
extern const char* const kMpirunTemplate;

// Replaces each @NAME@ once: values are not looked into again. A line that is nothing but an empty place vanishes. A
// place without a value, or a value without a place, is a bug in nexus.
std::string fill_template(const std::string& text, const std::map<std::string, std::string>& values);

}  // namespace nexus
