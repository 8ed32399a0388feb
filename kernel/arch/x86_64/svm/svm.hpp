// SPDX-License-Identifier: Apache-2.0
// Running guests with AMD SVM (APM vol. 2, chapter 15).
#pragma once

#include "kernel/core/arch.hpp"

namespace bulkhead::arch {

struct CpuLocal;

namespace svm {
void enable(CpuLocal&);                                  // each CPU, once
void run(CpuLocal&, core::Thread&);                      // enters thread.guest until something needs core; lock held before and after
void flush_guest(CpuLocal&, core::PageTable*);           // answers another CPU's shoot-down
void flush_guest_locally(CpuLocal&, core::PageTable&);
}  // namespace svm

}  // namespace bulkhead::arch
