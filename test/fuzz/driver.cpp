// SPDX-License-Identifier: Apache-2.0
// Runs a fuzz target without libFuzzer, so that CI exercises it with g++ and its sanitizers: first every
// seed, then mutations of them from a fixed pseudo-random sequence. A crash leaves its input in the file
// named at the start.
//
//   usage: TARGET SEED_FOLDER [COUNT [RANDOM_SEED]]
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kMaxBytes = 1 << 20;

std::vector<Bytes> read_seeds(const char* folder) {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.is_regular_file()) paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());  // the same order on every machine
    std::vector<Bytes> seeds;
    for (const auto& path : paths) {
        std::ifstream file(path, std::ios::binary);
        seeds.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    return seeds;
}

class Mutator {
  public:
    Mutator(const std::vector<Bytes>& seeds, std::uint64_t random_seed)
        : seeds_(seeds), random_(random_seed) {}

    Bytes next() {
        Bytes bytes = seeds_[below(seeds_.size())];
        for (auto left = 1 + below(6); left > 0; --left) mutate(bytes);
        if (bytes.size() > kMaxBytes) bytes.resize(kMaxBytes);
        return bytes;
    }

  private:
    std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
    std::ptrdiff_t place(const Bytes& bytes) { return static_cast<std::ptrdiff_t>(below(bytes.size() + 1)); }

    void mutate(Bytes& bytes) {
        static constexpr std::uint8_t kEdges[] = {0x00, 0x01, 0x7f, 0x80, 0xff, '\n', '"',
                                                  '\'', '[',  ']',  '\\', '0',  '-',  ' '};
        if (bytes.empty()) bytes.push_back(static_cast<std::uint8_t>(random_()));
        const auto at = below(bytes.size());
        switch (below(8)) {
            case 0: bytes[at] ^= static_cast<std::uint8_t>(1U << below(8)); break;
            case 1: bytes[at] = static_cast<std::uint8_t>(random_()); break;
            case 2: bytes[at] = kEdges[below(std::size(kEdges))]; break;
            case 3: bytes.insert(bytes.begin() + place(bytes), kEdges[below(std::size(kEdges))]); break;
            case 4: bytes.resize(at); break;
            case 5: {
                const auto length = 1 + below(std::min<std::size_t>(bytes.size() - at, 64));
                bytes.erase(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                            bytes.begin() + static_cast<std::ptrdiff_t>(at + length));
                break;
            }
            case 6: {  // repeat a piece
                const auto length = 1 + below(std::min<std::size_t>(bytes.size() - at, 64));
                const Bytes piece(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                                  bytes.begin() + static_cast<std::ptrdiff_t>(at + length));
                bytes.insert(bytes.begin() + place(bytes), piece.begin(), piece.end());
                break;
            }
            default: {  // splice another seed's end
                const Bytes& other = seeds_[below(seeds_.size())];
                bytes.resize(at);
                bytes.insert(bytes.end(),
                             other.begin() + static_cast<std::ptrdiff_t>(below(other.size() + 1)),
                             other.end());
            }
        }
    }

    const std::vector<Bytes>& seeds_;
    std::mt19937_64 random_;
};

// The input is on disk before it runs, because a sanitizer's report ends the process. One open file,
// rewritten in place: creating it anew for each input makes file systems flush it each time.
class Recorder {
  public:
    explicit Recorder(const std::string& path)
        : path_(path), file_(open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644)) {}
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    ~Recorder() {
        close(file_);
        std::remove(path_.c_str());
    }

    void run(const Bytes& bytes) const {
        const auto written = pwrite(file_, bytes.data(), bytes.size(), 0);
        if (written < 0 || ftruncate(file_, written) != 0) {
            std::fprintf(stderr, "cannot write %s\n", path_.c_str());
            std::exit(2);
        }
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    }

  private:
    std::string path_;
    int file_;
};

}  // namespace

int main(int count, char** words) {
    if (count < 2) {
        std::fprintf(stderr, "usage: %s SEED_FOLDER [COUNT [RANDOM_SEED]]\n", words[0]);
        return 2;
    }
    const auto rounds = count > 2 ? std::strtoull(words[2], nullptr, 10) : 20000;
    const auto random_seed = count > 3 ? std::strtoull(words[3], nullptr, 10) : 1;
    const auto seeds = read_seeds(words[1]);
    if (seeds.empty()) {
        std::fprintf(stderr, "%s: no seeds in %s\n", words[0], words[1]);
        return 2;
    }
    const std::string path = std::string(words[0]) + ".input";
    std::printf("%zu seeds, %llu mutations, random seed %llu; after a crash the input is in %s\n",
                seeds.size(), rounds, random_seed, path.c_str());
    std::fflush(stdout);
    const Recorder recorder(path);
    for (const auto& seed : seeds) recorder.run(seed);
    Mutator mutator(seeds, random_seed);
    for (auto i = rounds; i > 0; --i) recorder.run(mutator.next());
    return 0;
}
