// Byte-pair encoding of one word: which neighbours are merged, in which order, into what.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace nexus {

class WordMerges {
 public:
  explicit WordMerges(size_t merges);
  // `left` and `right` become `merged`; the lowest rank is merged first. A pair that was there takes the new rank.
  void add(int32_t left, int32_t right, int32_t rank, int32_t merged);

  struct Room;  // of one thread
  // Merges the tokens of one word until no pair is left. Equal pairs are merged from the left.
  void merge(std::vector<int32_t>& ids, Room& room) const;

 private:
  struct Slot {
    uint64_t pair = 0;  // kNoPair: free
    int32_t rank = 0, merged = 0;
  };
  size_t place_of(uint64_t pair) const;  // where it is, or may be put
  std::vector<Slot> slots_;              // open addressing; a power of two
};

struct WordMerges::Room {
  struct Symbol {
    int32_t id, previous, next;
  };
  struct Candidate {
    int32_t rank, at, left, right, merged;
  };
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
};

}  // namespace nexus
