#include "report/published.h"

namespace nexus {
namespace {

constexpr char kTokenformer[] = "arXiv 2410.23168, table 1", kNexusformer[] = "arXiv 2604.19147, by a reading note";

PublishedModel row(const char* name, double lambada_ppl, double lambada, double hellaswag, double piqa, double arc_easy,
                   double arc_challenge, double winogrande, double average) {
  return {name,
          kTokenformer,
          {{"lambada_openai perplexity", lambada_ppl},
           {"lambada_openai acc", lambada},
           {"hellaswag acc_norm", hellaswag},
           {"piqa acc", piqa},
           {"arc_easy acc", arc_easy},
           {"arc_challenge acc_norm", arc_challenge},
           {"winogrande acc", winogrande},
           {"average", average}},
          {"lambada_openai acc", "hellaswag acc_norm", "piqa acc", "arc_easy acc", "arc_challenge acc_norm",
           "winogrande acc"}};
}

PublishedModel average_of(const char* name, double average) {
  return {name, kNexusformer, {{"average", average}}, {}};
}

}  // namespace

const std::vector<PublishedModel>& published_models() {
  static const std::vector<PublishedModel> all{
      row("Pythia-160M", 37.25, 35.4, 30.3, 62.3, 43.6, 23.6, 51.3, 40.1),
      row("Tokenformer-150M", 16.38, 45.0, 35.5, 64.9, 47.3, 24.9, 50.4, 44.7),
      row("Pythia-410M", 10.84, 51.4, 40.6, 66.9, 52.1, 24.6, 53.8, 48.2),
      row("Tokenformer-450M", 7.69, 57.3, 47.5, 69.5, 56.2, 26.7, 54.6, 52.0),
      row("Pythia-1B", 7.92, 56.1, 47.2, 70.7, 57.0, 27.1, 53.5, 51.9),
      row("Tokenformer-900M", 5.46, 64.0, 55.3, 72.4, 59.9, 30.6, 56.4, 56.4),
      row("Pythia-1.3B", 6.08, 61.7, 52.1, 71.0, 60.5, 28.5, 57.2, 55.2),
      row("Tokenformer-1.5B", 5.24, 64.7, 60.0, 74.8, 64.8, 32.0, 59.7, 59.3),
      average_of("Nexusformer 170M, from scratch", 41.71),
      average_of("Tokenformer 170M, from scratch", 42.04),
      average_of("Nexusformer 240M, from scratch", 43.73),
      average_of("Tokenformer 240M, from scratch", 43.91),
      average_of("grown to 380M", 46.35),
      average_of("grown to 440M", 45.88),
      {"size not told", "arXiv 2604.19147, by wizwand.com", {{"piqa acc", 68.39}}, {}},
  };
  return all;
}

}  // namespace nexus
