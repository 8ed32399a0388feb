// SPDX-License-Identifier: Apache-2.0
// The I/O ports of a PVH guest: there are none. Reads give all ones, as an empty bus does, writes go nowhere;
// but
//   0x42   reads 0: all ones there sends Linux's PIT calibration round its loop 100,000 times,
//   0xe9   is Xen's debug console.
#pragma once

namespace bulkhead::vmm {

class Vm;
class Vcpu;

// Carries out the access that the state page describes. false: RIP stays (a string instruction goes on, or
// got a fault).
bool handle_port_io(Vm& vm, Vcpu& vcpu);

}  // namespace bulkhead::vmm
