// What the peer's LAS needs of other programs, as one: `lasindex` or `laxquery`, by the name it is called with.
//
//   lasindex -stdin -o FILE.lax < CLOUD.las
//   laxquery FILE.lax MIN_X,MIN_Y,MAX_X,MAX_Y ...
//
// The programs are those of LAStools (lasindex, with its defaults) and of a fork of it (laxquery), neither of which is
// a package. This one does what they do, and nothing that they do not, so that the peer is not wronged: the items of a
// point are read one by one, and their coordinates followed down a quadtree of floats that are kept in memory; its
// cells keep the intervals of the points in them, gaps of up to 1,000 points belong to them, four cells are made one
// while they hold fewer than 100,000 points, and 20 intervals a cell are kept on average. Its file is its own.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

constexpr uint32_t kGap = 1000, kFewPoints = 100000, kIntervalsPerCell = 20;

struct Interval {
  uint32_t first, last;
};

struct Cell {
  uint64_t points = 0;
  std::vector<Interval> intervals;
};

using Key = std::pair<uint32_t, uint32_t>;  // level, place in Morton order

struct Box {
  float min_x, min_y, max_x, max_y;
};

struct Tree {
  uint32_t levels = 0;
  Box box{};
  std::map<Key, Cell> cells;

  void set_up(double min_x, double min_y, double max_x, double max_y) {
    double extent = std::max(max_x - min_x, max_y - min_y), size = 10;
    while (size < 100000 && !(extent < size * 100)) size *= 10;
    auto low = [&](double value) { return size * std::floor(value / size); };
    auto high = [&](double value) { return size * (std::floor(value / size) + 1); };
    double x0 = low(min_x), x1 = high(max_x), y0 = low(min_y), y1 = high(max_y);
    long columns = std::lround((x1 - x0) / size), rows = std::lround((y1 - y0) / size);
    while ((1L << levels) < std::max(columns, rows)) ++levels;
    auto widen = [&](double& from, double& to, long n) {
      long more = (1L << levels) - n;
      from -= static_cast<double>(more - more / 2) * size;
      to += static_cast<double>(more / 2) * size;
    };
    widen(x0, x1, columns);
    widen(y0, y1, rows);
    box = {static_cast<float>(x0), static_cast<float>(y0), static_cast<float>(x1), static_cast<float>(y1)};
  }

  uint32_t place(double x, double y) const {
    Box at = box;
    uint32_t found = 0;
    volatile float mid_x, mid_y;
    for (uint32_t level = 0; level < levels; ++level) {
      mid_x = (at.min_x + at.max_x) / 2, mid_y = (at.min_y + at.max_y) / 2;
      found <<= 2;
      if (x < mid_x) at.max_x = mid_x; else at.min_x = mid_x, found |= 1;
      if (y < mid_y) at.max_y = mid_y; else at.min_y = mid_y, found |= 2;
    }
    return found;
  }
};

std::vector<Interval> merged(std::vector<Interval> all) {
  std::sort(all.begin(), all.end(), [](Interval a, Interval b) { return a.first < b.first; });
  std::vector<Interval> found;
  for (Interval each : all) {
    if (found.empty() || static_cast<int64_t>(each.first) - found.back().last > kGap) found.push_back(each);
    else found.back().last = std::max(found.back().last, each.last);
  }
  return found;
}

void coarsen(Tree& tree) {
  for (uint32_t level = tree.levels; level > 0; --level) {
    std::vector<uint32_t> parents;
    for (auto at = tree.cells.lower_bound({level, 0}); at != tree.cells.end() && at->first.first == level; ++at)
      if (parents.empty() || parents.back() != at->first.second >> 2) parents.push_back(at->first.second >> 2);
    bool any = false;
    for (uint32_t parent : parents) {
      Cell whole;
      int filled = 0;
      for (uint32_t child = 0; child < 4; ++child) {
        auto found = tree.cells.find({level, 4 * parent + child});
        if (found == tree.cells.end()) continue;
        ++filled;
        whole.points += found->second.points;
        const auto& own = found->second.intervals;
        whole.intervals.insert(whole.intervals.end(), own.begin(), own.end());
      }
      if (filled < 4 || whole.points >= kFewPoints) continue;
      whole.intervals = merged(std::move(whole.intervals));
      for (uint32_t child = 0; child < 4; ++child) tree.cells.erase({level, 4 * parent + child});
      tree.cells[{level - 1, parent}] = std::move(whole);
      any = true;
    }
    if (!any) break;
  }
}

void close_small_gaps(Tree& tree) {
  std::vector<uint32_t> gaps;
  for (const auto& [key, cell] : tree.cells)
    for (size_t n = 1; n < cell.intervals.size(); ++n)
      gaps.push_back(cell.intervals[n].first - cell.intervals[n - 1].last - 1);
  size_t most = (kIntervalsPerCell - 1) * tree.cells.size();
  if (gaps.size() <= most) return;
  std::nth_element(gaps.begin(), gaps.begin() + (gaps.size() - most - 1), gaps.end());
  uint32_t largest = gaps[gaps.size() - most - 1];
  for (auto& [key, cell] : tree.cells) {
    std::vector<Interval> kept;
    for (Interval each : cell.intervals) {
      if (!kept.empty() && each.first - kept.back().last - 1 <= largest) kept.back().last = each.last;
      else kept.push_back(each);
    }
    cell.intervals = std::move(kept);
  }
}

// The sizes of the items of a point: coordinates and flags, time, colours, and whatever is behind them.
std::vector<size_t> items_of(int form, size_t size) {
  bool modern = form >= 6;
  std::vector<size_t> items = {modern ? 30u : 20u};
  if (!modern && (form == 1 || form >= 3)) items.push_back(8);
  if (form == 2 || form == 3 || form == 5 || form == 7) items.push_back(6);
  if (form == 8) items.push_back(8);
  size_t n = 0;
  for (size_t item : items) n += item;
  if (size > n) items.push_back(size - n);
  return items;
}

template <typename T>
T at(const std::vector<unsigned char>& bytes, size_t where) {
  T value;
  std::memcpy(&value, bytes.data() + where, sizeof value);
  return value;
}

[[noreturn]] void fail(const char* why) {
  std::fprintf(stderr, "laxtools: %s\n", why);
  std::exit(1);
}

int index(const char* path) {
  std::vector<unsigned char> head(375);
  if (std::fread(head.data(), 1, 227, stdin) != 227 || std::memcmp(head.data(), "LASF", 4) != 0) fail("no LAS header");
  size_t n_read = 227, begin = at<uint32_t>(head, 96), size = at<uint16_t>(head, 105);
  uint64_t n_points = at<uint32_t>(head, 107);
  for (; n_read < begin; ++n_read) {
    int byte = std::getchar();
    if (n_read < head.size()) head[n_read] = static_cast<unsigned char>(byte);
  }
  if (head[25] == 4) n_points = at<uint64_t>(head, 247);
  double scale_x = at<double>(head, 131), scale_y = at<double>(head, 139);
  double offset_x = at<double>(head, 155), offset_y = at<double>(head, 163);
  Tree tree;
  tree.set_up(at<double>(head, 187), at<double>(head, 203), at<double>(head, 179), at<double>(head, 195));

  std::unordered_map<uint32_t, Cell> cells;
  std::vector<unsigned char> point(size);
  Cell* cell = nullptr;
  uint32_t last_place = 0;
  const std::vector<size_t> items = items_of(head[104], size);
  for (uint32_t n = 0; n < n_points; ++n) {
    size_t place_of_item = 0;
    for (size_t item : items) {
      if (std::fread(point.data() + place_of_item, 1, item, stdin) != item) fail("points are missing");
      place_of_item += item;
    }
    uint32_t place = tree.place(at<int32_t>(point, 0) * scale_x + offset_x, at<int32_t>(point, 4) * scale_y + offset_y);
    if (!cell || place != last_place) cell = &cells[last_place = place];
    ++cell->points;
    auto& own = cell->intervals;
    if (!own.empty() && n - own.back().last <= kGap) own.back().last = n;
    else own.push_back({n, n});
  }
  for (auto& [place, each] : cells) tree.cells[{tree.levels, place}] = std::move(each);
  coarsen(tree);
  close_small_gaps(tree);

  FILE* out = std::fopen(path, "wb");
  if (!out) fail("the index cannot be written");
  std::fwrite(&tree.levels, sizeof tree.levels, 1, out);
  std::fwrite(&tree.box, sizeof tree.box, 1, out);
  for (const auto& [key, each] : tree.cells) {
    uint32_t row[3] = {key.first, key.second, static_cast<uint32_t>(each.intervals.size())};
    std::fwrite(row, sizeof row, 1, out);
    std::fwrite(each.intervals.data(), sizeof(Interval), each.intervals.size(), out);
  }
  return std::fclose(out);
}

Tree load(const char* path) {
  FILE* in = std::fopen(path, "rb");
  if (!in) fail("the index cannot be read");
  Tree tree;
  uint32_t row[3];
  if (std::fread(&tree.levels, sizeof tree.levels, 1, in) != 1 || std::fread(&tree.box, sizeof tree.box, 1, in) != 1)
    fail("the index is cut off");
  while (std::fread(row, sizeof row, 1, in) == 1) {
    Cell& cell = tree.cells[{row[0], row[1]}];
    cell.intervals.resize(row[2]);
    if (std::fread(cell.intervals.data(), sizeof(Interval), row[2], in) != row[2]) fail("the index is cut off");
  }
  std::fclose(in);
  return tree;
}

void gather(const Tree& tree, const std::set<Key>& inside, Key key, Box own, Box wanted, std::vector<Interval>& out) {
  if (!inside.count(key)) {
    auto found = tree.cells.find(key);
    if (found != tree.cells.end())
      out.insert(out.end(), found->second.intervals.begin(), found->second.intervals.end());
    return;
  }
  float mid_x = (own.min_x + own.max_x) / 2, mid_y = (own.min_y + own.max_y) / 2;
  for (uint32_t child = 0; child < 4; ++child) {
    bool right = child & 1, upper = child & 2;
    if (right ? wanted.max_x <= mid_x : !(wanted.min_x < mid_x)) continue;
    if (upper ? wanted.max_y <= mid_y : !(wanted.min_y < mid_y)) continue;
    Box part = {right ? mid_x : own.min_x, upper ? mid_y : own.min_y, right ? own.max_x : mid_x,
                upper ? own.max_y : mid_y};
    gather(tree, inside, {key.first + 1, 4 * key.second + child}, part, wanted, out);
  }
}

int query(int n_boxes, char** boxes, const char* path) {
  Tree tree = load(path);
  std::set<Key> inside;
  for (const auto& [key, cell] : tree.cells)
    for (uint32_t up = 1; up <= key.first; ++up) inside.insert({key.first - up, key.second >> (2 * up)});
  for (int n = 0; n < n_boxes; ++n) {
    Box wanted;
    if (std::sscanf(boxes[n], "%f,%f,%f,%f", &wanted.min_x, &wanted.min_y, &wanted.max_x, &wanted.max_y) != 4)
      fail("a box is four numbers");
    std::vector<Interval> found;
    gather(tree, inside, {0, 0}, tree.box, wanted, found);
    for (Interval each : merged(found)) std::printf("%u,%u;", each.first, each.last);
    std::puts(found.empty() ? "No points found" : "");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = argv[0];
  if (name.size() >= 8 && name.compare(name.size() - 8, 8, "lasindex") == 0 && argc == 4) return index(argv[3]);
  if (name.size() >= 8 && name.compare(name.size() - 8, 8, "laxquery") == 0 && argc > 2)
    return query(argc - 2, argv + 2, argv[1]);
  fail("expected lasindex -stdin -o FILE, or laxquery FILE BOX ...");
}
