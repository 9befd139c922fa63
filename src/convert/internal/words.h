// Words of the two formats and their numbers. Each table is the only place its words are written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "spec/libcontainer/types.h"

namespace cooper::convert {

// MS_* flags of a mount <-> option words. Flags without a word are left in `rest`.
std::vector<std::string> words_from_flags(std::uint64_t flags, bool bind, std::uint64_t& rest);
// 0 for a word that is no flag.
std::uint64_t flag_from_word(std::string_view word);
// The flag that "rw", "suid" ... take back; 0 for a word that takes back none.
std::uint64_t flag_undone_by_word(std::string_view word);
// Words that mean what is the case anyway ("defaults").
bool is_default_word(std::string_view word);
// Options of runtimes, not of file systems, that container.json has nothing for: "rro", "idmap" ...
bool is_later_word(std::string_view word);

// "rslave" <-> MS_SLAVE | MS_REC; "" and 0 for what is none.
std::string propagation_word(std::uint64_t flags);
std::uint64_t propagation_flags(std::string_view word);

// "NEWNET" <-> "network"; "" for what has no counterpart.
std::string_view oci_namespace(std::string_view type);
std::string_view libcontainer_namespace(std::string_view type);

std::string_view oci_action(libcontainer::Action action);
std::optional<libcontainer::Action> libcontainer_action(std::string_view action);
std::string_view oci_operator(libcontainer::Operator op);
std::optional<libcontainer::Operator> libcontainer_operator(std::string_view op);
std::string_view oci_architecture(std::string_view name);
std::string_view libcontainer_architecture(std::string_view name);

// "a=\"x,y\",b" -> {"a=\"x,y\"", "b"}: commas inside quotes do not separate.
std::vector<std::string> split_data(std::string_view data);

}  // namespace cooper::convert
