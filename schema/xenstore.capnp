# SPDX-License-Identifier: Apache-2.0
# xenstore-stubdom's channels: one per client, who is the channel's badge. A VMM frames its guest's ring itself and sends whole
# requests here; the operations and their payloads are those of Xen's wire protocol (xen/io/xs_wire.h), so that nothing is
# translated twice. Which rights a channel has, the connect endpoint says ("connect-xenstore" for a guest,
# "connect-xenstore-control" for those who manage domains).
#
# At most 20 requests of a client are unanswered at a time; its VMM stops reading the guest's ring until there are fewer.
# Answers come in the order of the requests; a client relies on the id only.
#
# After a restart of the service: reconnect, hello with resumed = true, then send every unanswered request again with
# replayed = true. Watches stand and each fires once. A transaction that was open ends with EAGAIN.

@0x8eb9a6e3c9dbd7fe;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema::xenstore");

const maxPayload :UInt32 = 4096;
const maxOutstanding :UInt32 = 20;

struct FromClient {
  union {
    hello @0 :Hello;              # first after every connect
    request @1 :Request;
    domainStopped @2 :UInt16;     # a domain shut down or crashed: @releaseDomain; only from those who manage domains
  }
}

struct Hello {
  resumed @0 :Bool;               # this client lived before the connection was lost: keep its watches
}

struct Request {
  id @0 :UInt32;                  # echoed; for a guest its own req_id
  op @1 :UInt32;                  # XS_READ, ...
  tx @2 :UInt32;
  replayed @3 :Bool;              # sent before, the answer was lost with the connection
  payload @4 :Data;               # as on the guest's ring, at most maxPayload
}

struct ToClient {
  union {
    reply @0 :Reply;
    event @1 :Event;
  }
}

struct Reply {
  id @0 :UInt32;
  op @1 :UInt32;                  # the request's, or XS_ERROR
  tx @2 :UInt32;
  payload @3 :Data;
}

struct Event {
  path @0 :Data;                  # relative if the watch was; no NUL
  token @1 :Data;                 # exactly the client's; no NUL
}
