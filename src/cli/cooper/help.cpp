#include "cli/cooper/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/chars.h"
#include "base/strings.h"
#include "cli/cooper/format_template.h"

namespace cooper::cli {
namespace {

constexpr std::size_t kPageWidth = 100;

// Words of `text` in lines of at most `width`, each after the first indented.
std::string wrap(std::string_view text, std::size_t indent, std::size_t width) {
  std::string out;
  std::size_t column = indent;
  for (const std::string_view word : split(text, ' ')) {
    if (word.empty()) continue;
    if (!out.empty() && column + 1 + word.size() > width) {
      out += '\n';
      out.append(indent, ' ');
      column = indent;
    } else if (!out.empty()) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::string spelled(const Flag& flag) {
  std::string out = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : "    ";
  out += fmt::format("--{}", flag.name);
  if (!flag.value.empty()) out += fmt::format(" {}", flag.value);
  return out;
}

std::string flag_lines(std::span<const Flag> flags) {
  std::size_t widest = 0;
  for (const Flag& flag : flags) widest = std::max(widest, spelled(flag).size());
  widest = std::min<std::size_t>(widest, 34);
  std::string out;
  for (const Flag& flag : flags) {
    const std::string left = spelled(flag);
    out += "  " + left;
    if (left.size() > widest) {
      out += '\n' + std::string(widest + 4, ' ');
    } else {
      out.append(widest - left.size() + 2, ' ');
    }
    out += wrap(flag.help, widest + 4, kPageWidth) + '\n';
  }
  return out;
}

std::string usage_line(const Command& command) {
  std::string out = fmt::format("cooper {}", command.path);
  const bool has_flags =
      std::any_of(command.flags.begin(), command.flags.end(), [](const auto& table) { return !table.empty(); });
  if (has_flags) out += " [FLAGS]";
  if (!command.usage.empty()) out += fmt::format(" {}", command.usage);
  return out;
}

std::string command_lines(std::span<const Command> commands) {
  std::size_t widest = 0;
  for (const Command& command : commands) {
    if (!command.hidden) widest = std::max(widest, command.path.size());
  }
  std::string out;
  for (const Command& command : commands) {
    if (!command.hidden) out += fmt::format("  {:<{}}  {}\n", command.path, widest, command.summary);
  }
  return out;
}

std::string exit_status_text(const Command& command) {
  if (!command.exits.empty()) return std::string(command.exits);
  if (command.failure == kExitEngine) {
    return "the app's own (128+N when signal N ended it); 125 when cooper itself failed, 126 when the command cannot "
           "be executed, "
           "127 when it was not found";
  }
  return "0, or 1 on failure, or 125 for a wrong command line";
}

std::string escape_scdoc(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '_' || c == '*' || c == '\\' || c == '#' || c == '[' || c == '~') out += '\\';
    out += c;
  }
  return out;
}

void append_manual_flags(std::string& out, std::span<const Flag> flags) {
  for (const Flag& flag : flags) {
    out += "*--" + escape_scdoc(flag.name) + "*";
    if (flag.letter != 0) out += fmt::format(", *-{}*", flag.letter);
    if (!flag.value.empty()) out += " " + escape_scdoc(flag.value);
    out += "\n\t" + escape_scdoc(flag.help) + "\n\n";
  }
}

// What is said of a command besides its flags.
std::vector<std::string_view> paragraphs(const Command& command) {
  std::vector<std::string_view> out;
  if (!command.description.empty()) out = split(command.description, '\n');
  if (command.templates) out.push_back(kTemplatesHelp);
  return out;
}

}  // namespace

std::string program_help() {
  std::string out =
      "Runs containers and pods from images, without a daemon.\n\n"
      "Usage:\n  cooper [FLAGS] COMMAND [FLAGS] [ARGUMENTS]\n  cooper help COMMAND\n";
  for (const Group& group : command_groups()) {
    const std::string lines = command_lines(group.commands);
    if (!lines.empty()) out += fmt::format("\n{}:\n{}", group.title, lines);
  }
  out += "\nFlags of every command:\n" + flag_lines(global_flags());
  out += "\nExit status: run and exec end with the app's own; 125, 126 and 127 are cooper's (see cooper help run).\n";
  return out;
}

std::string command_help(const Command& command) {
  std::string summary(command.summary);
  if (!summary.empty()) summary[0] = to_upper(summary[0]);
  std::string out = summary + ".\n\nUsage:\n  " + usage_line(command) + "\n";
  for (const std::string_view paragraph : paragraphs(command)) out += "\n" + wrap(paragraph, 0, kPageWidth) + "\n";
  std::vector<Flag> flags;
  for (const auto& table : command.flags) flags.insert(flags.end(), table.begin(), table.end());
  if (!flags.empty()) out += "\nFlags:\n" + flag_lines(flags);
  std::vector<Flag> global(global_flags().begin(), global_flags().end());
  for (Flag& flag : global) {
    // A letter that means something else here (-h of run is --hostname, as with podman).
    const auto same = [&](const Flag& own) { return own.letter == flag.letter; };
    if (std::ranges::any_of(command.flags, [&](const auto& table) { return std::ranges::any_of(table, same); }))
      flag.letter = 0;
  }
  out += "\nFlags of every command:\n" + flag_lines(global);
  out += "\nExit status: " + wrap(exit_status_text(command), 13, kPageWidth) + ".\n";
  return out;
}

std::string group_help(std::string_view word) {
  std::vector<Command> members;
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (command.path.starts_with(word) && command.path.size() > word.size() && command.path[word.size()] == ' ')
        members.push_back(command);
    }
  }
  if (members.empty()) return {};
  return fmt::format(
      "Usage:\n  cooper {} COMMAND\n\nCommands:\n{}\n'cooper help {} COMMAND' tells more about one of them.\n", word,
      command_lines(members), word);
}

std::string manual_page() {
  std::string out =
      "COOPER(1)\n\n# NAME\n\ncooper - run containers and pods from images, without a daemon\n\n"
      "# SYNOPSIS\n\n*cooper* [flags] command [flags] [arguments]\n\n# GLOBAL FLAGS\n\n"
      "They may stand before and after the command.\n\n";
  append_manual_flags(out, global_flags());
  out += "# COMMANDS\n\n";
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (command.hidden) continue;
      out += fmt::format("## {}\n\n*{}*\n\n{}.\n\n", command.path, escape_scdoc(usage_line(command)),
                         escape_scdoc(command.summary));
      for (const std::string_view paragraph : paragraphs(command)) out += escape_scdoc(paragraph) + "\n\n";
      for (const auto& table : command.flags) append_manual_flags(out, table);
    }
  }
  out +=
      "# EXIT STATUS\n\n*run*, *exec*, *pod run* and *pod run-prepared* end with the status of the app: its own, or "
      "128+N when signal N ended it. "
      "125 means that cooper itself failed, 126 that the command cannot be executed, 127 that it was not found. Of "
      "several "
      "apps it is the status of the first, in the order given, that did not end with 0. Other "
      "commands end with 0, with 1 on "
      "failure, and with 125 for a wrong command line; *image verify* ends with 2 when it has found damage.\n\n"
      "# FILES\n\n_~/.config/cooper/cooper.toml_ (users without root), _/etc/cooper/cooper.toml_, "
      "_/usr/lib/cooper/cooper.toml_\n\tConfiguration; the first that exists is "
      "read.\n\n"
      "_/etc/cooper/certs.d/HOST/_, _/etc/cooper/auth.d/_\n\tAuthorities and credentials for "
      "registries.\n\n"
      "_/etc/cooper/policy.json_, _/etc/containers/policy.json_\n\tWhich images are taken; the first that exists.\n\n"
      "_/etc/cooper/paths.d/\\*.json_, _/usr/lib/cooper/paths.d/\\*.json_\n\tWhere images of the App Container kind "
      "are, "
      "by the beginning of their names, instead of what their domains say.\n\n"
      "_/var/lib/cooper_, _/run/cooper_\n\tImages and pods; running pods. *--root* and *--run-root* move "
      "them.\n\n"
      "_~/.local/share/cooper_, _~/.config/cooper/trust_\n\tImages and trusted keys of a user without root, by "
      "XDG_DATA_HOME and XDG_CONFIG_HOME.\n";
  return out;
}

}  // namespace cooper::cli
