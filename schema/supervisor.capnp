# SPDX-License-Identifier: Apache-2.0
# What the supervisor tells dom0 by ring (spawn, destroy and restart themselves are IPC: they move capabilities).

@0x98c6b8f8c4a85928;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema::supervisor");

struct Event {
  sequence @0 :UInt64;
  union {
    started @1 :Domain;
    ended @2 :Ending;
    failed @3 :Domain;         # restarted too often: left as it is
  }
}

struct Domain {
  tag @0 :UInt64;
  name @1 :Text;
  incarnation @2 :UInt32;
}

struct Ending {
  domain @0 :Domain;
  status @1 :Int32;            # exit status, or 128 + signal, or -1 after a fault
  message @2 :Text;            # a sentence
  willRestart @3 :Bool;
}

struct Command {
  request @0 :UInt32;
  union {
    list @1 :Void;
    restart @2 :Text;          # a stub domain of the manifest, by name
  }
}

struct Answer {
  request @0 :UInt32;
  error @1 :Text;
  domains @2 :List(Domain);
}
