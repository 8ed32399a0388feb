# SPDX-License-Identifier: Apache-2.0
# dom0's channel to one VMM. dom0 is the client; the VMM's connect endpoint came with its spawn. dom0 is not trusted with the guest's
# memory and never gets any of it: kernel and ramdisk bytes go *to* the VMM through dom0's pool, and nothing comes back.

@0xa298394844652d61;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema::vmm");

struct Request {
  request @0 :UInt32;          # echoed in the answer; answers may come out of order
  union {
    configure @1 :Configuration;
    image :group {             # bytes of an image lie in the pool frame: the VMM copies them and answers, then the pool is free again
      kind @2 :ImageKind;
      offset @3 :UInt64;       # in the image; images are sent in order, without gaps
      total @4 :UInt64;        # of the image, the same every time
      poolOffset @5 :UInt32;
      bytes @6 :UInt32;
    }
    start @7 :Void;            # build the guest from configuration and images; it is paused if so configured
    pause @8 :Void;
    unpause @9 :Void;
    shutdown @10 :ShutdownKind;  # ask the guest (control/shutdown is written by dom0 in xenstore; this is the VMM's own knowledge of it)
    sysrq @11 :UInt8;          # key
    state @12 :Void;
    log @13 :UInt64;           # console_io output since this offset
    destroy @14 :Void;         # stop all vCPUs for good; answered when they have stopped
    resume @15 :Void;          # the same guest goes on after an on_crash=preserve
    registers @16 :UInt16;     # of a vCPU of a stopped or crashed guest, as text: for people who debug it
    trigger @17 :Trigger;
    trace @18 :UInt16;         # the last exits of a vCPU, whether it runs or not
  }
}

enum ImageKind { kernel @0; ramdisk @1; }
enum ShutdownKind { poweroff @0; reboot @1; suspend @2; halt @3; }
enum Trigger { nmi @0; power @1; sleep @2; }

struct Configuration {
  name @0 :Text;
  domain @1 :UInt32;           # domid that the guest sees
  uuid @2 :Data;               # 16 bytes
  memoryKiB @3 :UInt64;
  maxMemoryKiB @4 :UInt64;
  vcpus @5 :UInt16;
  maxVcpus @6 :UInt16;
  commandLine @7 :Text;
  startPaused @8 :Bool;
  wallClockTsc @9 :UInt64;     # TSC at which …
  wallClockNs @10 :UInt64;     # … so many ns since 1970 had passed
  xenstorePort @11 :UInt32;    # 0: the VMM chooses
  consolePort @12 :UInt32;
}

enum State { empty @0; configured @1; paused @2; running @3; shutdown @4; crashed @5; dying @6; }
enum ExitReason { none @0; poweroff @1; reboot @2; suspend @3; crash @4; watchdog @5; vmmError @6; }

struct Answer {
  request @0 :UInt32;
  union {
    ok @1 :Void;
    error @2 :Text;            # a sentence
    state @3 :GuestState;
    text :group {              # log, registers
      data @4 :Data;
      next @5 :UInt64;
    }
    trace :group {
      first @6 :UInt64;        # so many exits there were before the first of these
      exits @7 :List(Exit);    # oldest first, at most 64
    }
  }
}

# Sent unasked (request 0 in Answer.state) whenever the state changes.
struct GuestState {
  state @0 :State;
  reason @1 :ExitReason;       # of shutdown and crashed
  message @2 :Text;            # crashed: a sentence, with RIP and bytes if an instruction could not be emulated
  vcpus @3 :List(VcpuState);
  memoryKiB @4 :UInt64;
  freeKiB @5 :UInt64;          # what the VMM itself has left
  storePort @6 :UInt32;        # what dom0 introduces to xenstore, once started
  consolePort @7 :UInt32;
}

struct Exit {
  reason @0 :UInt32;           # abi::ExitReason
  rip @1 :UInt64;
  detail @2 :UInt64;           # vmm::TraceRing::Exit
}

struct VcpuState {
  online @0 :Bool;
  blocked @1 :Bool;
  running @2 :Bool;
  runTimeNs @3 :UInt64;
  exits @4 :UInt64;
}
