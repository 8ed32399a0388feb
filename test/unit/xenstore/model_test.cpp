// SPDX-License-Identifier: Apache-2.0
// Random clients against a model that is a plain map. A transaction that commits must have seen and done
// exactly what it would have, had it run alone at the moment of its commit; one during which nothing changed
// must commit.
#include <algorithm>
#include <map>
#include <random>

#include "test/unit/xenstore/harness.hpp"

using namespace bulkhead::xenstore;
using namespace bulkhead::xenstore::test;

namespace {

struct Action {
    Op op;
    std::string path, value;
};

using Model = std::map<std::string, std::string>;

std::string parent(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

void make_parents(Model& model, const std::string& path) {
    for (std::string up = parent(path); !model.contains(up); up = parent(up)) model[up] = "";
}

std::string remove(Model& model, const std::string& path) {
    if (!model.contains(path)) return model.contains(parent(path)) ? "OK|" : "ENOENT";
    std::erase_if(model,
                  [&](const auto& node) { return node.first == path || node.first.starts_with(path + "/"); });
    return "OK|";
}

std::string list(const Model& model, const std::string& path) {
    if (!model.contains(path)) return "ENOENT";
    std::string names;
    for (const auto& [name, value] : model)
        if (name != "/" && parent(name) == path) names += name.substr(name.rfind('/') + 1) + "|";
    return names;
}

std::string run(Model& model, const Action& action) {
    const bool exists = model.contains(action.path);
    switch (action.op) {
        case Op::read: return exists ? model[action.path] : "ENOENT";
        case Op::directory: return list(model, action.path);
        case Op::rm: return remove(model, action.path);
        case Op::mkdir:
            if (exists) return "OK|";
            [[fallthrough]];
        default:
            make_parents(model, action.path);
            model[action.path] = action.value;
            return "OK|";
    }
}

struct Open {
    TxId id{};
    std::vector<std::pair<Action, std::string>> done;
    unsigned changes;  // to the committed tree, before it began
};

}  // namespace

TEST_CASE("committed transactions are as if each had run alone") {
    World w;
    const auto seed = GENERATE(1U, 2U, 3U, 4U);
    CAPTURE(seed);
    std::mt19937 random(seed);
    const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
    Model model{{"/", ""}, {"/tool", ""}, {"/tool/xenstored", ""}};
    const char* paths[] = {"/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/f", "/e/f/g/h", "/a/b/i"};
    std::vector<Open> open;
    unsigned committed = 0, refused = 0, changes = 0;
    for (int i = 0; i < 15000; ++i) {
        const Op ops[] = {Op::read, Op::directory, Op::write, Op::write, Op::mkdir, Op::rm};
        Action action{ops[pick(6)], paths[pick(8)], {}};
        if (action.op == Op::write) action.value = std::to_string(i);
        const std::string payload = action.path + "|" + action.value;
        const unsigned what = pick(10);
        if (what == 0 && open.size() < 4) {
            open.push_back({w.dom0.begin(), {}, changes});
        } else if (what == 1 && !open.empty()) {
            const std::size_t index = pick(static_cast<unsigned>(open.size()));
            const Open tx = open[index];
            open.erase(open.begin() + static_cast<std::ptrdiff_t>(index));
            const std::string result = w.dom0.end(tx.id);
            if (result == "OK|") {
                ++committed;
                ++changes;
                for (const auto& [act, reply] : tx.done) REQUIRE(run(model, act) == reply);
            } else {
                ++refused;
                REQUIRE(result == "EAGAIN");
                REQUIRE(tx.changes != changes);
            }
        } else if (what < 7 && !open.empty()) {
            Open& tx = open[pick(static_cast<unsigned>(open.size()))];
            const std::string reply = w.dom0.ask(action.op, payload, tx.id);
            tx.done.emplace_back(action, reply);
        } else if (what >= 8) {
            REQUIRE(w.dom0.ask(action.op, payload) == run(model, action));
            ++changes;
        }
        if (i % 1000 == 0) {
            std::string text;
            w.store.dump(text);
            const std::size_t specials = 2;
            REQUIRE(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) ==
                    model.size() + specials);
            for (const auto& [path, value] : model)
                REQUIRE(text.find(path + " = \"" + value + "\" (n0)\n") != std::string::npos);
        }
    }
    CHECK(committed > 200);
    CHECK(refused > 200);
}
