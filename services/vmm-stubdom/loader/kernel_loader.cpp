// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/loader/kernel_loader.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "services/vmm-stubdom/loader/bzimage.hpp"
#include "services/vmm-stubdom/loader/decompress.hpp"
#include "services/vmm-stubdom/loader/elf_image.hpp"
#include "services/vmm-stubdom/loader/wide_copy.hpp"

namespace bulkhead::vmm {
namespace {

constexpr std::uint64_t kUnknownSizeLimit = 1ULL << 32;

std::string mebibytes(std::uint64_t bytes) {
    return std::to_string((bytes + 0xf'ffff) >> 20) + " MiB";
}

// Guest RAM from 1 MiB to the top of the low range, addressed by guest-physical address.
class Window {
  public:
    explicit Window(std::span<std::byte> bytes) : bytes_(bytes) {}

    [[nodiscard]] std::uint64_t begin() const { return kKernelRamBase; }
    [[nodiscard]] std::uint64_t end() const { return kKernelRamBase + bytes_.size(); }
    [[nodiscard]] bool contains(std::uint64_t from, std::uint64_t to) const {
        return from >= begin() && from <= to && to <= end();
    }
    // The caller has checked contains().
    [[nodiscard]] std::span<std::byte> range(std::uint64_t from, std::uint64_t to) const {
        return bytes_.subspan(from - begin(), to - from);
    }

  private:
    std::span<std::byte> bytes_;
};

Loaded<void> check_fits(const Window& window, const ElfImage& elf) {
    if (elf.lowest() < window.begin()) {
        return load_error("the kernel wants to be loaded below 1 MiB, where a PVH guest has no room for it");
    }
    if (elf.highest() > window.end()) {
        return load_error("the guest has too little memory for this kernel: it occupies memory up to " +
                          mebibytes(elf.highest()) + ", the guest's ends at " + mebibytes(window.end()));
    }
    return {};
}

LoadedKernel describe(const ElfImage& elf, std::uint32_t entry) {
    return {entry, elf.lowest(), elf.highest()};
}

Loaded<LoadedKernel> load_elf(const Window& window, ImageBytes file) {
    const auto elf = ElfImage::parse(file, file.size());
    if (!elf) return std::unexpected(elf.error());
    if (const auto fits = check_fits(window, *elf); !fits) return std::unexpected(fits.error());
    const auto entry = elf->pvh_entry(file);
    if (!entry) return std::unexpected(entry.error());
    for (const ElfSegment& segment : elf->segments()) {
        const std::span<std::byte> target = window.range(segment.address, segment.end());
        wide_copy_down(target.data(), file.data() + segment.offset, segment.file_size);
        wide_clear(target.data() + segment.file_size, segment.memory_size - segment.file_size);
    }
    return describe(*elf, *entry);
}

class CompressedKernel {
  public:
    // recorded_size 0: the image does not say.
    CompressedKernel(const Window& window, Compression format, ImageBytes compressed,
                     std::uint64_t recorded_size)
        : window_(window), format_(format), compressed_(compressed), recorded_(recorded_size) {}

    [[nodiscard]] Loaded<LoadedKernel> load() const {
        const auto base = choose_base();
        if (!base) return std::unexpected(base.error());
        const auto file = unpack(*base);
        if (!file) return std::unexpected(file.error());
        const auto elf = ElfImage::parse(*file, file->size());
        if (!elf) return std::unexpected(elf.error());
        // Before the segments move: they may overwrite the notes.
        const auto entry = elf->pvh_entry(*file);
        if (!entry) return std::unexpected(entry.error());
        if (const auto fits = check_fits(window_, *elf); !fits) return std::unexpected(fits.error());
        if (*base < lowest_base(*elf)) {
            return load_error("the guest has too little memory to unpack this kernel beside itself");
        }
        place(*elf, *base);
        return describe(*elf, *entry);
    }

  private:
    // The least address at which the unpacked file may lie so that every segment can move down to its place.
    [[nodiscard]] static std::uint64_t lowest_base(const ElfImage& elf) {
        if (!elf.ascending_in_memory()) return elf.highest();
        std::uint64_t base = kKernelRamBase;
        for (const ElfSegment& segment : elf.segments()) {
            if (segment.address > segment.offset) base = std::max(base, segment.address - segment.offset);
        }
        return base;
    }

    [[nodiscard]] Loaded<std::uint64_t> choose_base() const {
        std::array<std::byte, ElfImage::kHeaderBytes> head{};
        ScratchArena arena(window_.range(window_.begin(), window_.end()));
        const auto got = decompress(format_, compressed_, head, Extent::Head, arena);
        // What is damaged is reported when it is unpacked in full; here it only decides where.
        if (got) {
            const auto elf =
                ElfImage::parse(std::span(head).first(*got), recorded_ ? recorded_ : kUnknownSizeLimit);
            if (elf) {
                if (const auto fits = check_fits(window_, *elf); !fits) return std::unexpected(fits.error());
                return lowest_base(*elf);
            }
            if (!ElfImage::has_magic(head)) return std::unexpected(elf.error());
        }
        const std::uint64_t room = window_.end() - window_.begin();
        return window_.end() - std::min(room, recorded_ ? recorded_ : room / 2);
    }

    [[nodiscard]] Loaded<ImageBytes> unpack(std::uint64_t base) const {
        if (!window_.contains(base, base + recorded_)) {
            return load_error("the guest has too little memory to unpack this kernel: that takes " +
                              mebibytes(base + recorded_) + ", the guest has " + mebibytes(window_.end()));
        }
        const std::uint64_t split = recorded_ ? base + recorded_ : base + (window_.end() - base) / 2;
        ScratchArena arena(window_.range(split, window_.end()));
        const std::span<std::byte> out = window_.range(base, split);
        const auto size = decompress(format_, compressed_, out, Extent::Whole, arena);
        if (!size) return std::unexpected(size.error());
        if (recorded_ && *size != recorded_) {
            return load_error("the kernel image is damaged: it says that it unpacks to " +
                              std::to_string(recorded_) + " bytes, but it does to " + std::to_string(*size));
        }
        return ImageBytes(out.first(*size));
    }

    void place(const ElfImage& elf, std::uint64_t base) const {
        for (const ElfSegment& segment : elf.segments()) {
            const std::uint64_t from = base + segment.offset;
            const std::span<std::byte> target = window_.range(segment.address, segment.end());
            if (segment.file_size != 0) {
                const auto source = window_.range(from, from + segment.file_size);
                wide_copy_down(target.data(), source.data(), segment.file_size);
            }
            wide_clear(target.data() + segment.file_size, segment.memory_size - segment.file_size);
        }
    }

    Window window_;
    Compression format_;
    ImageBytes compressed_;
    std::uint64_t recorded_;
};

}  // namespace

Loaded<LoadedKernel> load_kernel(const GuestMemory& memory, const GuestLayout& layout, ImageBytes image) {
    if (image.empty()) return load_error("the kernel image is empty");
    if (layout.low_top() <= kKernelRamBase)
        return load_error("the guest has too little memory: a kernel needs more than 1 MiB");
    const auto ram = memory.span(GuestPhys(kKernelRamBase), layout.low_top() - kKernelRamBase);
    if (!ram) return load_error("the guest's memory is not mapped as its layout says");
    const Window window(*ram);

    ImageBytes body = image;
    std::uint64_t recorded = 0;
    if (is_bzimage(image)) {
        const auto payload = parse_bzimage(image);
        if (!payload) return std::unexpected(payload.error());
        body = payload->compressed;
        recorded = payload->recorded_size;
    }
    if (ElfImage::has_magic(body)) return load_elf(window, body);
    const auto format = detect_compression(body);
    if (!format) {
        return load_error(recorded
                              ? "the kernel's payload is neither an ELF file nor compressed in a known way"
                              : "the kernel is neither a bzImage nor an ELF file");
    }
    // All formats but gzip, which has its own, are followed by the size.
    if (recorded && *format != Compression::Gzip) body = body.first(body.size() - 4);
    return CompressedKernel(window, *format, body, recorded).load();
}

}  // namespace bulkhead::vmm
