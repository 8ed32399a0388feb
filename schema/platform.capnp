# SPDX-License-Identifier: Apache-2.0
# platform: power and wall clock. "connect-platform" may only ask for the time; "connect-platform-control" (a bit in the badge) may do all.

@0x905e9cea967ece5c;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema::platform");

struct Request {
  request @0 :UInt32;      # echoed in the answer
  union {
    time @1 :Void;
    powerOff @2 :Void;     # ACPI S5; no answer if it works
    reset @3 :Void;
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
  }
}
