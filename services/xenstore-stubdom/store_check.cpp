// SPDX-License-Identifier: Apache-2.0
// Looking at the whole store: CONTROL check, and the text that tests compare.
#include "services/xenstore-stubdom/store.hpp"

namespace bulkhead::xenstore {

// Recounts what is kept by increments.
bool Store::check(std::string& finding) {
    std::unordered_map<std::uint16_t, Account> counted;
    std::size_t live = domains_.size() * 64;
    for (Tree* tree : {&tree_, &specials_}) {
        std::string path;
        bool sound = true;
        Tree::for_each(tree->root(), [&](Node& node) {
            for (const Node* child : node.children)
                sound =
                    sound && child->parent == &node && child->subtree_generation <= node.subtree_generation;
            if (&node == &specials_.root()) return;
            tree->path_of(node, path);
            sound = sound && tree->find(path) == &node;
            const std::size_t size =
                node_record_size(path.size(), node.value.size(), node.perms.list().size());
            Account& account = counted[raw(node.perms.owner())];
            ++account.nodes;
            account.stored_bytes += size;
            live += size;
        });
        if (!sound) return finding = "the tree's links are inconsistent near " + path, false;
    }
    for (const auto& [key, session] : sessions_) {
        for (const auto& watch : session->watches_) {
            const std::size_t size = watch_record_size(watch->path.size(), watch->token.size());
            Account& account = counted[raw(session->domid())];
            ++account.watches;
            account.stored_bytes += size;
            live += size;
        }
        for (const auto& [id, tx] : session->transactions_) {
            Account& account = counted[raw(session->domid())];
            ++account.transactions;
            account.transaction_bytes += tx->bytes;
        }
    }
    if (live != live_bytes_) return finding = "the store's size is counted wrongly", false;
    for (const auto& [domid, account] : accounts_) {
        const Account& other = counted[domid];
        const bool same = account.nodes == other.nodes && account.watches == other.watches &&
                          account.transactions == other.transactions &&
                          account.stored_bytes == other.stored_bytes &&
                          account.transaction_bytes == other.transaction_bytes;
        if (!same) return finding = "the account of domain " + std::to_string(domid) + " is wrong", false;
    }
    for (const auto& [domid, account] : counted)
        if (!account.idle() && !accounts_.contains(domid))
            return finding = "domain " + std::to_string(domid) + " has no account", false;
    finding = "OK";
    return true;
}

void Store::dump(std::string& out) {
    out.clear();
    std::string path;
    for (Tree* tree : {&tree_, &specials_}) {
        Tree::for_each(tree->root(), [&](Node& node) {
            if (&node == &specials_.root()) return;
            tree->path_of(node, path);
            out += path + " = \"" + node.value + "\" (";
            for (const PermEntry& entry : node.perms.list()) append_perm(entry, out);
            out += ")\n";
        });
    }
    for (const auto& [id, domain] : domains_) {
        out += "domain " + std::to_string(id) + " gfn " + std::to_string(domain.gfn) + " port " +
               std::to_string(domain.port) + (domain.stopped ? " stopped" : "");
        if (domain.has_target) out += " target " + std::to_string(raw(domain.target));
        out += '\n';
    }
    for (const auto& [key, session] : sessions_)
        for (const auto& watch : session->watches_)
            out += "watch " + std::to_string(key) + " domain " + std::to_string(raw(session->domid())) + " " +
                   watch->path + " " + watch->token + " " + std::to_string(watch->depth) + "\n";
}

}  // namespace bulkhead::xenstore
