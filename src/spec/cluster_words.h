// Which words a cluster file may hold where they become words of sbatch and srun: those that neither a shell nor the
// reader of #SBATCH lines takes for more. Configuration files and job scripts are judged by this one rule.
#pragma once

#include <string_view>

namespace nexus {

// What the word of a key ("partition", "srun_mpi") may hold besides letters and digits: what Slurm's syntax of it
// needs.
std::string_view signs_of_word(std::string_view key);

// Not empty, of letters, digits and `signs` only, and no option: without a dash in front.
bool is_word(std::string_view text, std::string_view signs);

}  // namespace nexus
