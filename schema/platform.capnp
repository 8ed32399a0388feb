# SPDX-License-Identifier: Apache-2.0
# platform: power, power button and wall clock. "connect-platform" may only ask for the time; "connect-platform-control" (a bit in the badge) may do all.

@0x905e9cea967ece5c;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema::platform");

struct Request {
  request @0 :UInt32;      # echoed in the answer
  union {
    time @1 :Void;
    powerOff @2 :Void;     # ACPI S5; no answer if it works
    reset @3 :Void;        # no answer if it works
    timers @4 :Void;       # takes 200 ms
  }
}

struct Answer {
  request @0 :UInt32;
  union {
    error @1 :Text;        # a sentence
    time :group {
      tsc @2 :UInt64;              # TSC at the moment that
      nanosecondsUtc @3 :UInt64;   # this many had passed since 1970-01-01T00:00:00Z
    }
    timers :group {                # how fast the TSC runs, in kHz, by other clocks; 0: there is none, or it does not count
      byPmTimer @5 :UInt64;
      byHpet @6 :UInt64;
    }
    powerButton @4 :UInt32;        # unasked, request 0, to control channels: how often it was pressed; told again at every connect
  }
}
