// Scores of papers, for the rows of tables that are not ours.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace nexus {

struct PublishedModel {
  std::string name, source;
  // By "TASK METRIC": accuracies in percent; "average" is the mean of the accuracies that are there.
  std::map<std::string, double> scores;
  std::vector<std::string> averaged;  // the tasks that the paper's average is over; empty: it does not say
};

// Tokenformer (arXiv 2410.23168), table 1: Pythia and Tokenformer, Pile, 300B tokens, zero-shot by the EleutherAI
// harness. Nexusformer (arXiv 2604.19147): averages by a reading note; tasks, tokenizer and data are not told.
const std::vector<PublishedModel>& published_models();

}  // namespace nexus
