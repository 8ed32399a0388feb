// SPDX-License-Identifier: Apache-2.0
#include "boot/efi/files.hpp"

namespace bulkhead::boot {
namespace {

constexpr uint64_t kPage = 4096;
EFI_GUID file_system_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
EFI_GUID file_info_guid = EFI_FILE_INFO_ID;

struct Pages {
    uint64_t base, count;
};
constexpr size_t kMaxAllocations = 64;  // configuration, kernel, 16 modules and a few tables
Pages allocation[kMaxAllocations];
size_t allocations;

void clear_tail(const Loaded& loaded) {
    const uint64_t end = (loaded.size + kPage - 1) & ~(kPage - 1);
    __builtin_memset(reinterpret_cast<void*>(loaded.base + loaded.size), 0, end - loaded.size);
}

}  // namespace

Volume::Volume(EFI_LOADED_IMAGE_PROTOCOL& self) : device_{self.DeviceHandle} {
    // The path: all of the device path's file-path nodes (UEFI 2.10, 10.3.5.4); the directory ends at the
    // last separator.
    CHAR16 path[kMaxPath];
    size_t used = 0, name = 0;
    for (EFI_DEVICE_PATH* node = self.FilePath; node && !IsDevicePathEnd(node);
         node = NextDevicePathNode(node)) {
        if (DevicePathNodeLength(node) < 4) break;
        if (DevicePathType(node) != MEDIA_DEVICE_PATH || DevicePathSubType(node) != MEDIA_FILEPATH_DP)
            continue;
        const size_t length = (static_cast<size_t>(DevicePathNodeLength(node)) - 4) / 2;
        const auto* bytes = reinterpret_cast<const uint8_t*>(node) + 4;  // not necessarily aligned
        if (used && used + 1 < kMaxPath && path[used - 1] != '\\') path[used++] = '\\';
        for (size_t i = 0; i < length && used + 1 < kMaxPath; i++) {
            const auto c = static_cast<CHAR16>(bytes[2 * i] | bytes[2 * i + 1] << 8);
            if (!c) break;
            path[used++] = c == '/' ? CHAR16{'\\'} : c;
        }
    }
    for (size_t i = 0; i < used; i++)
        if (path[i] == '\\') name = i + 1;
    for (size_t i = 0; i < name; i++) directory_[i] = path[i];
    for (size_t i = name; i < used; i++) {
        if (path[i] > 0x7e) {
            own_length_ = 0;
            break;
        }
        own_name_[own_length_++] = static_cast<char>(path[i]);
    }
}

EFI_FILE_PROTOCOL* Volume::open(std::string_view name, EFI_STATUS* status) {
    if (!root_) {
        EFI_SIMPLE_FILE_SYSTEM_PROTOCOL* system = nullptr;
        *status = BS->HandleProtocol(device_, &file_system_guid, reinterpret_cast<void**>(&system));
        if (!EFI_ERROR(*status)) *status = system->OpenVolume(system, &root_);
        if (EFI_ERROR(*status))
            fail({}, "the volume that the loader came from cannot be opened for", name, *status);
    }
    CHAR16 path[kMaxPath * 2];
    size_t used = 0;
    const bool absolute = !name.empty() && (name.front() == '/' || name.front() == '\\');
    for (const CHAR16* c = directory_; !absolute && *c; c++) path[used++] = *c;
    *status = EFI_INVALID_PARAMETER;
    if (name.size() >= kMaxPath) return nullptr;
    for (const char c : name) path[used++] = c == '/' ? CHAR16{'\\'} : static_cast<CHAR16>(c);
    path[used] = 0;
    EFI_FILE_PROTOCOL* file = nullptr;
    *status = root_->Open(root_, &file, path, EFI_FILE_MODE_READ, 0);
    return EFI_ERROR(*status) ? nullptr : file;
}

bool Volume::exists(std::string_view name) {
    EFI_STATUS status;
    EFI_FILE_PROTOCOL* file = open(name, &status);
    if (file) file->Close(file);
    if (!file && status != EFI_NOT_FOUND) note({}, "cannot look for the file", name, status);
    return file;
}

Loaded Volume::read(std::string_view name, Where asked_by, uint64_t alignment, uint64_t limit) {
    if (locked_) fail(asked_by, locked_, name);
    EFI_STATUS status;
    EFI_FILE_PROTOCOL* file = open(name, &status);
    if (!file) fail(asked_by, "cannot open the file", name, status);

    alignas(8) uint8_t buffer[sizeof(EFI_FILE_INFO) + 1024];
    UINTN bytes = sizeof buffer;
    status = file->GetInfo(file, &file_info_guid, &bytes, buffer);
    if (EFI_ERROR(status)) fail(asked_by, "cannot learn the size of the file", name, status);
    const auto* info = reinterpret_cast<const EFI_FILE_INFO*>(buffer);
    if (info->Attribute & EFI_FILE_DIRECTORY) fail(asked_by, "is a directory, not a file:", name);
    if (info->FileSize > limit) fail(asked_by, "the file is larger than can be right:", name);
    if (info->FileSize == 0) fail(asked_by, "the file is empty:", name);

    Loaded loaded{0, info->FileSize};
    loaded.base =
        allocate_pages((loaded.size + kPage - 1) / kPage, alignment, ~uint64_t{0}, EfiLoaderData, name);
    for (uint64_t done = 0; done < loaded.size;) {
        // Some firmware fails on large reads.
        UINTN part = loaded.size - done < (1u << 20) ? loaded.size - done : (1u << 20);
        status = file->Read(file, &part, reinterpret_cast<void*>(loaded.base + done));
        if (EFI_ERROR(status) || part == 0)
            fail(asked_by, "cannot read the file", name, EFI_ERROR(status) ? status : EFI_DEVICE_ERROR);
        done += part;
    }
    file->Close(file);
    clear_tail(loaded);
    return loaded;
}

uint64_t allocate_pages(uint64_t pages, uint64_t alignment, uint64_t below, EFI_MEMORY_TYPE type,
                        std::string_view what) {
    // The firmware aligns to a page: take more, give back what is too much.
    const uint64_t slack = alignment / kPage - 1;
    EFI_PHYSICAL_ADDRESS got = below == ~uint64_t{0} ? 0 : below - 1;
    const EFI_STATUS status =
        BS->AllocatePages(got ? AllocateMaxAddress : AllocateAnyPages, type, pages + slack, &got);
    if (EFI_ERROR(status)) fail({}, "there is not enough memory for", what, status);
    const uint64_t base = (got + alignment - 1) & ~(alignment - 1);
    const uint64_t before = (base - got) / kPage;
    if (before) BS->FreePages(got, before);
    if (slack - before) BS->FreePages(base + pages * kPage, slack - before);
    if (allocations < kMaxAllocations) allocation[allocations++] = {base, pages};
    return base;
}

Loaded copy_to_pages(const void* data, uint64_t size, uint64_t alignment, std::string_view what) {
    Loaded loaded{0, size};
    loaded.base = allocate_pages((size + kPage - 1) / kPage, alignment, ~uint64_t{0}, EfiLoaderData, what);
    __builtin_memcpy(reinterpret_cast<void*>(loaded.base), data, size);
    clear_tail(loaded);
    return loaded;
}

void free_all_pages() {
    while (allocations > 0) {
        const Pages& pages = allocation[--allocations];
        BS->FreePages(pages.base, pages.count);
    }
}

}  // namespace bulkhead::boot
