// SPDX-License-Identifier: Apache-2.0
#include "services/console-stubdom/uart.hpp"

#include <catch2/catch.hpp>
#include <string>

using namespace bulkhead::console;

namespace {

// A 16550A as its data sheet says, with an edge-triggered interrupt line: `edges` counts what a PIC would
// see.
class Fake16550 final : public Ports {
  public:
    std::deque<uint8_t> receive;        // arrived, not yet read
    std::deque<uint8_t> transmit_fifo;  // written, not yet on the wire
    std::string wire;
    unsigned edges = 0, lost = 0;
    bool absent = false;
    uint8_t fifo_control = 0, modem_control = 0;

    uint8_t in(unsigned reg) override {
        if (absent) return 0xff;
        switch (reg) {
            case 0: {
                if (receive.empty()) return 0;
                const uint8_t byte = receive.front();
                receive.pop_front();
                return update(byte);
            }
            case 2: {
                const uint8_t id = identification();
                if (id == 0x02) transmit_pending_ = false;  // reading it clears a transmitter interrupt
                return update(static_cast<uint8_t>(id | 0xc0));
            }
            case 5:
                return static_cast<uint8_t>((receive.empty() ? 0 : 1) | (transmit_fifo.empty() ? 0x60 : 0));
            case 6: return update(0xb0);
            default: return 0;
        }
    }
    void out(unsigned reg, uint8_t value) override {
        if (absent) return;
        if (reg == 0) {
            if (transmit_fifo.size() < 16)
                transmit_fifo.push_back(value);
            else
                lost++;
            transmit_pending_ = false;
        } else if (reg == 1) {
            if ((value & 2) && !(enable_ & 2) && transmit_fifo.empty())
                transmit_pending_ = true;  // enabling it while empty interrupts at once
            enable_ = value;
        } else if (reg == 2) {
            fifo_control = value;
        } else if (reg == 4) {
            modem_control = value;
        }
        update(0);
    }

    // The machine's side
    void type(std::string_view text) {
        for (const char c : text) receive.push_back(static_cast<uint8_t>(c));
        update(0);
    }
    void send_fifo() {
        if (transmit_fifo.empty()) return;
        wire.append(transmit_fifo.begin(), transmit_fifo.end());
        transmit_fifo.clear();
        transmit_pending_ = true;
        update(0);
    }
    bool line() const { return line_; }

  private:
    uint8_t identification() const {
        if ((enable_ & 1) && !receive.empty()) return 0x04;
        if ((enable_ & 2) && transmit_pending_) return 0x02;
        return 0x01;
    }
    uint8_t update(uint8_t value) {
        const bool now = identification() != 0x01;
        edges += now && !line_;
        line_ = now;
        return value;
    }

    uint8_t enable_ = 0;
    bool transmit_pending_ = false, line_ = false;
};

std::span<const std::byte> bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
std::string text(const std::vector<std::byte>& input) {
    return {reinterpret_cast<const char*>(input.data()), input.size()};
}

// The driver is called at edges alone: whatever it misses stays unserved.
struct Bench {
    Fake16550 port;
    Uart uart{port};
    std::vector<std::byte> input;
    unsigned served = 0;

    void serve() {
        while (served < port.edges) {
            served = port.edges;
            uart.interrupt(input);
        }
    }
    void run_dry() {
        for (int i = 0; i < 200 && !port.transmit_fifo.empty(); i++) {
            port.send_fifo();
            serve();
        }
    }
};

}  // namespace

TEST_CASE("uart: FIFOs and modem lines are on, and output goes out by bursts of 16") {
    Bench b;
    CHECK(b.uart.present());
    CHECK(b.port.fifo_control == 0x47);
    CHECK(b.port.modem_control == 0x0b);
    const std::string message(100, 'x');
    CHECK(b.uart.write(bytes(message)) == 100);
    CHECK(b.port.transmit_fifo.size() == 16);
    b.run_dry();
    CHECK(b.port.wire == message);
    CHECK(b.port.lost == 0);
    CHECK(b.uart.room() == Uart::kQueueBytes);
}

TEST_CASE("uart: more than the queue holds is refused, not lost") {
    Bench b;
    const std::string message(5000, 'y');
    size_t done = 0;
    for (int i = 0; i < 1000 && done < message.size(); i++) {
        done += b.uart.write(bytes(message).subspan(done));
        CHECK(b.uart.room() + 0 <= Uart::kQueueBytes);
        b.port.send_fifo();
        b.serve();
    }
    b.run_dry();
    CHECK(b.port.wire == message);
    CHECK(b.port.lost == 0);
}

TEST_CASE("uart: no edge is missed when input and output come together") {
    Bench b;
    unsigned random = 1;
    std::string typed, printed;
    size_t written = 0;
    for (int step = 0; step < 5000; step++) {
        random = random * 1664525 + 1013904223;
        if (random >> 30 == 0) {
            const std::string some(random >> 24 & 15, static_cast<char>('a' + step % 26));
            typed += some;
            b.port.type(some);
        } else if (random >> 30 == 1) {
            const std::string some(random >> 24 & 63, static_cast<char>('A' + step % 26));
            written = b.uart.write(bytes(some));
            printed += some.substr(0, written);
        } else {
            b.port.send_fifo();
        }
        b.serve();
        REQUIRE_FALSE(b.port.line());  // a line that stays up gives no further edge
    }
    b.run_dry();
    CHECK(text(b.input) == typed);
    CHECK(b.port.wire == printed);
}

TEST_CASE("uart: bytes that arrive while the interrupt is being served are taken") {
    struct Late final : Ports {
        Fake16550& port;
        int left = 40;
        explicit Late(Fake16550& p) : port{p} {}
        uint8_t in(unsigned reg) override {
            if (reg == 5 && left-- > 0) port.type("z");
            return port.in(reg);
        }
        void out(unsigned reg, uint8_t value) override { port.out(reg, value); }
    };
    Fake16550 port;
    Late late{port};
    Uart uart{late};
    std::vector<std::byte> input;
    uart.interrupt(input);
    CHECK(input.size() == 40);
    CHECK_FALSE(port.line());
}

TEST_CASE("uart: without a port nothing hangs and writes vanish") {
    Fake16550 port;
    port.absent = true;
    Uart uart{port};
    CHECK_FALSE(uart.present());
    CHECK(uart.write(bytes("hello")) == 5);
    std::vector<std::byte> input;
    uart.interrupt(input);
    CHECK(input.empty());
}

TEST_CASE("uart: a port that always has data, or always interrupts, holds nobody for long") {
    struct Mad final : Ports {
        uint8_t status, id;
        unsigned reads = 0;
        Mad(uint8_t s, uint8_t i) : status{s}, id{i} {}
        uint8_t in(unsigned reg) override {
            reads++;
            return reg == 5 ? status : reg == 2 ? id : uint8_t{0x41};
        }
        void out(unsigned, uint8_t) override {}
    };
    for (auto [status, id] : {std::pair{0x61, 0x04}, {0x60, 0x00}, {0x00, 0x02}, {0x61, 0x01}}) {
        Mad mad{static_cast<uint8_t>(status), static_cast<uint8_t>(id)};
        Uart uart{mad};
        std::vector<std::byte> input;
        uart.interrupt(input);
        CHECK(input.size() <= 256);
        CHECK(mad.reads < 2000);
    }
}
