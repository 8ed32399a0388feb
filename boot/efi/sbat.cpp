// SPDX-License-Identifier: Apache-2.0
// Secure Boot Advanced Targeting (SBAT.md of shim): by component and generation, broken versions can be
// revoked. The generation rises when a release closes a way around Secure Boot. On a page of its own, as a PE
// section must be.

extern "C" {
extern const char bulkhead_sbat[];
[[gnu::section(".sbat"), gnu::used]] alignas(4096) constexpr char bulkhead_sbat[] =
    "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    "bulkhead,1,Bulkhead,bulkhead," BULKHEAD_VERSION ",https://bulkhead.invalid/\n";
}
