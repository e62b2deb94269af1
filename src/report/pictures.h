// Draws the pictures of a report by running the scripts in analysis/ with Python and matplotlib.
//
// The scripts lie in $NEXUS_ANALYSIS_DIR, or where the program was installed, or else in the source tree's analysis/
// folder. The interpreter is $NEXUS_PYTHON,
// or the first of `python3` on PATH and /usr/bin/python3 that can import matplotlib. Nothing passes through a shell.
#pragma once

#include <string>
#include <vector>

#include "records/workload_words.h"

namespace nexus {

struct Picture {
  std::string name;        // "growth": the script is plot_NAME.py, the file NAME.svg
  std::string title;       // heading in the report
  std::string definition;  // what is drawn, and what its uncertainty is
};

// What the scripts draw; `with_figures`: also figures of evaluations besides the validation loss.
std::vector<Picture> all_pictures(const WorkloadWords& words, bool with_figures = false);
// "perplexity_flops" or "loss_flops": names of one script.
std::string headline_picture(const WorkloadWords& words);

std::string analysis_folder();

// An interpreter with matplotlib; empty where there is none.
std::string find_plot_python();

// Runs the scripts of `pictures` on `curves_path`; the pictures arrive in `folder` as NAME.svg and NAME.png. Returns
// the names of those that were drawn: a script draws nothing where the runs hold nothing to draw. Appends a warning for
// each that failed.
std::vector<std::string> draw_pictures(const std::vector<Picture>& pictures, const std::string& curves_path,
                                       const std::string& folder, std::vector<std::string>& warnings);

}  // namespace nexus
