# SPDX-License-Identifier: Apache-2.0
# console-stubdom's channels. A *domain* channel belongs to one domain (its badge): what that domain prints, and what is typed
# to it. The *control* channel is dom0's: the prompt's terminal, attach, history. Which one a channel is, the connect endpoint says
# ("connect-console", "connect-console-control": a bit in the badge, which the manifest decides): a domain cannot ask for what only dom0 may.

@0xb70449d3b2a63171;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema::console");

# ---- a domain's channel

struct FromDomain {
  union {
    hello @0 :Text;        # first after every connect: the name to show (the badge is the identity)
    output @1 :Data;       # bytes that the domain printed; kept in its bounded log
    closed @2 :Void;       # the guest is gone, its log may stay
  }
}

struct ToDomain {
  union {
    input @0 :Data;        # typed while somebody is attached
    attached @1 :Bool;     # somebody is (not) looking
    size @2 :Size;         # of the terminal
  }
}

struct Size {
  columns @0 :UInt16;
  rows @1 :UInt16;
}

# ---- dom0's control channel

struct FromControl {
  union {
    output @0 :Data;                     # to the terminal (the prompt's own output); ignored while a domain is attached
    attach :group {                      # the terminal now belongs to the domain, its log is shown first; Ctrl-] ends it
      request @1 :UInt32;
      domain @2 :UInt64;                 # badge
    }
    history :group {                     # bytes of a domain's log from `offset` (counted since its start) on
      request @3 :UInt32;
      domain @4 :UInt64;
      offset @5 :UInt64;
    }
    list :group { request @6 :UInt32; }
    forget :group {                      # drop a gone domain's log
      request @7 :UInt32;
      domain @8 :UInt64;
    }
    rename :group {                      # the name shown in lists and at attach
      domain @9 :UInt64;
      name @10 :Text;
    }
    typed @11 :Data;                     # once after a successful attach: what was typed since the attaching command's Enter and
                                         # had reached dom0 already; until it comes, the service holds back what is typed further
  }
}

struct ToControl {
  union {
    input @0 :Data;                      # typed at the terminal while no domain is attached
    detached @1 :UInt64;                 # Ctrl-], or the domain went: the terminal is dom0's again
    result :group {                      # answer to attach, history, list, forget
      request @2 :UInt32;
      error @3 :Text;                    # empty: fine; else a sentence
      domains @4 :List(Domain);          # list
      data @5 :Data;                     # history: at most 8 KiB an answer
      next @6 :UInt64;                   # history: offset to go on at
      end @7 :Bool;                      # history: that was all there is by now
    }
    size @8 :Size;                       # of the terminal, when it is known or changes
  }
}

struct Domain {
  badge @0 :UInt64;
  name @1 :Text;
  connected @2 :Bool;
  logBytes @3 :UInt64;                   # printed since its start
  keptBytes @4 :UInt32;                  # still in the log
}
