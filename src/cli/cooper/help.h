// Pages made from the command tables.
#pragma once

#include <string>
#include <string_view>

#include "cli/cooper/command.h"

namespace cooper::cli {

std::string program_help();
std::string command_help(const Command& command);
// Commands below a first word ("image"); empty when there is none.
std::string group_help(std::string_view word);
// Manual page of all commands, in scdoc.
std::string manual_page();

}  // namespace cooper::cli
