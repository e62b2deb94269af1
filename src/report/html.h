// report.html: one self-contained page with tables, pictures (inline SVG), definitions and the commands that repeat it.
#pragma once

#include <string>
#include <vector>

#include "report/summary.h"

namespace nexus {

struct HtmlPage {
  const ReportData* data = nullptr;
  std::string folder;                 // holds NAME.svg of every drawn picture
  std::vector<std::string> pictures;  // names of pictures.h, in order
  std::vector<std::string> commands;  // that repeat the report, one shell line each
  std::vector<std::string> warnings;
  std::string version;  // of the program that writes the page
};

std::string render_html(const HtmlPage& page);

// A page of its own in the same style; `body` is HTML.
std::string html_document(const std::string& title, const std::string& body);

// Sentences that answer the report's question, one per compared run.
std::vector<std::string> findings(const ReportData& data);

}  // namespace nexus
