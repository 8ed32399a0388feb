// SPDX-License-Identifier: Apache-2.0
#include "services/vmm-stubdom/msr_policy.hpp"

namespace bulkhead::vmm {

namespace {

constexpr uint32_t kApicBase = 0x1b, kTsc = 0x10, kMicrocode = 0x8b, kMtrrCap = 0xfe, kMcgCap = 0x179,
                   kPat = 0x277, kMtrrDefault = 0x2ff;
constexpr uint32_t kEfer = 0xc0000080, kTscAux = 0xc0000103, kSyscfg = 0xc0010010, kHwcr = 0xc0010015,
                   kNbCfg = 0xc001001f;
constexpr uint32_t kHypercallPage = 0x40000000;

constexpr uint64_t kEferSce = 1, kEferLme = 1 << 8, kEferLma = 1 << 10, kEferNx = 1 << 11,
                   kEferSvme = 1 << 12, kEferFfxsr = 1 << 14;
constexpr uint64_t kCr0Paging = 1ull << 31;

bool fixed_mtrr(uint32_t msr) {
    return msr == 0x250 || msr == 0x258 || msr == 0x259 || (msr >= 0x268 && msr <= 0x26f);
}
bool variable_mtrr(uint32_t msr) {
    return msr >= 0x200 && msr <= 0x20f;
}

}  // namespace

std::optional<uint64_t> MsrPolicy::read(uint32_t msr, const abi::VcpuState& state, const Lapic& lapic,
                                        uint64_t now_tsc) const {
    if (msr >= 0x800 && msr <= 0x8ff) return lapic.read_msr(msr, now_tsc);
    if (variable_mtrr(msr)) return 0;
    if (fixed_mtrr(msr)) return 0x0606060606060606;
    switch (msr) {
        case kApicBase: return lapic.base_msr();
        case kTsc: return now_tsc + state.tsc_offset;
        case kEfer: return state.efer & ~kEferSvme;
        case kPat: return state.pat;
        case kMtrrCap: return 0x508;
        case kMtrrDefault: return mtrr_default_;
        case kTscAux: return state.tsc_aux;
        case kHwcr: return uint64_t{1} << 24;  // TscFreqSel: without it Linux calls the firmware buggy
        case kMicrocode:
        case kMcgCap:
        case kSyscfg:
        case kNbCfg:
        case kHypercallPage: return 0;
        default: return std::nullopt;
    }
}

bool MsrPolicy::write_efer(uint64_t value, abi::VcpuState& state) {
    if (value & ~(kEferSce | kEferLme | kEferLma | kEferNx | kEferFfxsr)) return false;
    const bool paging = (state.cr0 & kCr0Paging) != 0;
    if (paging && ((value ^ state.efer) & kEferLme)) return false;  // APM vol. 2, 3.1.7
    state.efer = (value & ~kEferLma) | (state.efer & (kEferLma | kEferSvme));
    state.dirty |= abi::VcpuState::kControl;
    return true;
}

bool MsrPolicy::write_pat(uint64_t value, abi::VcpuState& state) {
    for (unsigned i = 0; i < 8; ++i) {
        const uint64_t type = (value >> (8 * i)) & 0xff;
        if (type > 7 || type == 2 || type == 3) return false;
    }
    state.pat = value;
    state.dirty |= abi::VcpuState::kControl;
    return true;
}

MsrWrite MsrPolicy::write(uint32_t msr, uint64_t value, abi::VcpuState& state, Lapic& lapic,
                          uint64_t now_tsc) {
    const auto done_if = [](bool good) { return MsrWrite{good ? MsrWrite::Done : MsrWrite::Fault, {}}; };
    if (msr >= 0x800 && msr <= 0x8ff) {
        const LapicAction action = lapic.write_msr(msr, value, now_tsc);
        if (action.kind == LapicAction::Fault) return {MsrWrite::Fault, {}};
        return {MsrWrite::Lapic, action};
    }
    // Memory types are write-back throughout: accepted, without effect.
    if (variable_mtrr(msr) || fixed_mtrr(msr)) return {};
    switch (msr) {
        case kApicBase: return done_if(lapic.set_base_msr(value));
        case kEfer: return done_if(write_efer(value, state));
        case kPat: return done_if(write_pat(value, state));
        case kMtrrDefault: mtrr_default_ = value & 0xcff; return {};
        case kTscAux:
            if (value >> 32) return {MsrWrite::Fault, {}};
            state.tsc_aux = value;
            state.dirty |= abi::VcpuState::kMsrs;
            return {};
        case kTsc: state.tsc_offset = value - now_tsc; return {};
        case kHypercallPage: return {MsrWrite::HypercallPage, {}};
        case kMicrocode:
        case kSyscfg:
        case kHwcr:
        case kNbCfg: return {};
        default: return {MsrWrite::Fault, {}};
    }
}

}  // namespace bulkhead::vmm
