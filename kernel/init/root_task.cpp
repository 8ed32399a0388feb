// SPDX-License-Identifier: Apache-2.0
#include "kernel/init/root_task.hpp"

#include "abi/start.hpp"
#include "kernel/arch/x86_64/memory.hpp"
#include "kernel/arch/x86_64/print.hpp"
#include "kernel/core/boot.hpp"
#include "kernel/init/boot_archive.hpp"
#include "kernel/init/elf.hpp"

namespace bulkhead::init {
namespace {

constexpr uint64_t kStackBytes = 256 * 1024;
constexpr unsigned kRuntimeCNodeBits = 12, kRuntimeMemoryBits = 24;
constexpr uint64_t kPage = abi::kPageSize;

// In the area at kStartPages, each with an unmapped page behind it.
constexpr uint64_t kStartInfoAt = abi::kStartPages, kKernelInfoAt = abi::kStartPages + 2 * kPage,
                   kIpcBufferAt = abi::kStartPages + 4 * kPage, kRootInfoAt = abi::kStartPages + 16 * kPage;

const abi::BootModule* find_module(const abi::BootInfo& info, const char* name) {
    for (uint32_t i = 0; i < info.modules; ++i)
        if (__builtin_strcmp(info.module[i].name, name) == 0) return &info.module[i];
    return nullptr;
}

// A file of the boot archive.
LoadedElf load_file(const abi::BootModule& archive, const char* name, uint64_t base) {
    const ArchiveFile file =
        find_file(static_cast<const uint8_t*>(arch::direct(archive.base)), archive.size, name);
    if (file.data == nullptr) {
        arch::klog(abi::LogLevel::Error, "kernel: the boot module 'bootfs' holds no file ", name, "\n");
        arch::panic("the root task cannot be loaded");
    }
    return load_elf(name, file.data, file.size, base);
}

// The initial stack grows down in its last page: strings first, then the vectors that the System V ABI wants
// at RSP.
class StackBuilder {
  public:
    StackBuilder(uint8_t* page, uint64_t address) : page_{page}, address_{address}, used_{kPage} {}
    uint64_t bytes(const void* data, size_t size) {
        used_ = (used_ - size) & ~size_t{15};
        __builtin_memcpy(page_ + used_, data, size);
        return address_ + used_;
    }
    uint64_t vector(const uint64_t* words, size_t count) { return bytes(words, count * 8); }

  private:
    uint8_t* page_;
    uint64_t address_;
    size_t used_;
};

uint64_t build_stack(const LoadedElf& root, const LoadedElf& blob, uint64_t random) {
    uint8_t* top = nullptr;
    for (uint64_t at = abi::kStackTop - kStackBytes; at < abi::kStackTop; at += kPage)
        top = static_cast<uint8_t*>(core::boot::map_page(at, abi::map::kRead | abi::map::kWrite));
    StackBuilder stack{top, abi::kStackTop - kPage};
    constexpr char kName[] = "supervisor",
                   kTunables[] =
                       "GLIBC_TUNABLES=glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=1048576";
    const uint64_t seed[2] = {random, random * 0x94d049bb133111eb + 1};
    const uint64_t name = stack.bytes(kName, sizeof(kName)),
                   tunables = stack.bytes(kTunables, sizeof(kTunables)),
                   seed_at = stack.bytes(seed, sizeof(seed));
    constexpr uint64_t kPhdr = 3, kPhent = 4, kPhnum = 5, kPagesz = 6, kBase = 7, kEntry = 9, kSecure = 23,
                       kRandom = 25, kExecfn = 31, kSysinfoEhdr = 33;
    const uint64_t words[] = {
        1,
        name,
        0,  // argc, argv
        tunables,
        0,  // envp
        kPhdr,
        root.phdr,
        kPhent,
        sizeof(ElfSegment),
        kPhnum,
        root.phnum,
        kPagesz,
        kPage,
        kBase,
        0,
        kEntry,
        root.entry,
        kSecure,
        0,
        kRandom,
        seed_at,
        kExecfn,
        name,
        kSysinfoEhdr,
        blob.base,
        abi::kAtBulkhead,
        kStartInfoAt,
        0,
        0,
        0,  // pads to 16 bytes
    };
    static_assert(sizeof(words) % 16 == 0);
    return stack.vector(words, sizeof(words) / 8);
}

}  // namespace

void load_root_task(const abi::BootInfo& info, uint64_t random) {
    const abi::BootModule* archive = find_module(info, "bootfs");
    if (archive == nullptr) {
        arch::klog(abi::LogLevel::Error, "kernel: the boot loader passes ", uint64_t{info.modules},
                   " modules, and none is the boot archive 'bootfs'\n");
        arch::panic("the root task cannot be loaded");
    }
    const LoadedElf root = load_file(*archive, "boot/root", abi::kImageBase);
    const LoadedElf blob = load_file(*archive, "boot/blob", abi::kBlobBase);
    const uint64_t rsp = build_stack(root, blob, random);
    auto* start = static_cast<abi::StartInfo*>(core::boot::map_page(kStartInfoAt, abi::map::kRead));
    core::boot::map_kernel_info(kKernelInfoAt);
    core::boot::map_ipc_buffer(kIpcBufferAt);
    const uint64_t root_info_bytes = core::boot::map_root_info(kRootInfoAt);

    start->magic = abi::kStartMagic;
    start->version = abi::kAbiVersion;
    __builtin_memcpy(start->name, "supervisor", 11);
    start->kernel_info = kKernelInfoAt;
    start->ipc_buffer = kIpcBufferAt;
    start->upcall = blob.entry;
    start->cnode_bits = abi::kRootCNodeBits;
    start->runtime_window = {abi::kRuntimeWindow, abi::kRuntimeWindowSize};
    start->window = {abi::kProgramWindow, abi::kProgramWindowSize};
    // The root task's own memory is what RootInfo lists; `untyped` stays empty so that nothing is counted
    // twice.
    start->runtime_cnode = core::boot::add_runtime_cnode(kRuntimeCNodeBits);
    start->runtime_cnode_bits = kRuntimeCNodeBits;
    start->runtime_untyped = {core::boot::add_runtime_untyped(kRuntimeMemoryBits), 1};
    start->free_slots = core::boot::free_slots();
    start->caps = 1;
    abi::NamedCap& named = start->cap[0];
    __builtin_memcpy(named.name, "root-info", 10);
    named.type = static_cast<uint32_t>(abi::ObjectType::Frame);
    named.value = root_info_bytes;
    named.mapped = {kRootInfoAt, root_info_bytes};
    core::boot::start(blob.entry, rsp, 0);  // the personality goes on to AT_ENTRY
}

}  // namespace bulkhead::init
