#include "cli/cooper/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "image/store.h"

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

// What has been typed before the word to complete, as far as it matters.
struct Typed {
  const Command* command = nullptr;
  std::string prefix;                 // words of an unfinished command path
  const Flag* wants_value = nullptr;  // the word is this flag's value
};

Typed read_typed(std::span<const std::string> before) {
  Typed typed;
  for (const std::string& word : before) {
    const std::span<const Flag> global = global_flags();
    std::array<std::span<const Flag>, 4> tables = {global};
    if (typed.command != nullptr)
      std::copy(typed.command->flags.begin(), typed.command->flags.end(), tables.begin() + 1);
    if (typed.wants_value != nullptr) {
      typed.wants_value = nullptr;
    } else if (word.starts_with("--")) {
      if (word.find('=') == std::string::npos) typed.wants_value = find_flag(tables, std::string_view(word).substr(2));
    } else if (word.starts_with("-") && word.size() > 1) {
      typed.wants_value = find_flag(tables, word.back());
    } else if (typed.command == nullptr) {
      if (!typed.prefix.empty()) typed.prefix += ' ';
      typed.prefix += word;
      typed.command = find_command(typed.prefix);
    }
    if (typed.wants_value != nullptr && typed.wants_value->value.empty()) typed.wants_value = nullptr;
  }
  return typed;
}

void add_commands(std::set<std::string>& out, const std::string& prefix) {
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      std::string_view rest = command.path;
      if (command.hidden) continue;
      if (!prefix.empty()) {
        if (!rest.starts_with(prefix) || rest.size() <= prefix.size() || rest[prefix.size()] != ' ') continue;
        rest.remove_prefix(prefix.size() + 1);
      }
      out.emplace(rest.substr(0, rest.find(' ')));
    }
  }
}

void add_flags(std::set<std::string>& out, const Command* command) {
  for (const Flag& flag : global_flags()) out.insert("--" + std::string(flag.name));
  if (command == nullptr) return;
  for (const auto& table : command->flags) {
    for (const Flag& flag : table) out.insert("--" + std::string(flag.name));
  }
}

// A store that cannot be read completes to nothing.
void add_names(std::set<std::string>& out, const Context& context, Completes what) {
  const auto engine = context.engine();
  if (!engine.ok()) return;
  if (what == Completes::kImages) {
    const auto store = engine->images();
    if (!store.ok()) return;
    const auto images = store->list();
    if (!images.ok()) return;
    for (const image::Image& image : *images) out.insert(image.names.begin(), image.names.end());
    return;
  }
  const auto pods = engine->list();
  if (!pods.ok()) return;
  for (const pod::PodInfo& pod : *pods) {
    if (what == Completes::kRunning && pod.state != pod::State::kRunning) continue;
    out.insert(pod.name.empty() ? pod.uuid.short_str() : pod.name);
  }
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
  if (!summary.empty() && summary[0] >= 'a' && summary[0] <= 'z')
    summary[0] = static_cast<char>(summary[0] - 'a' + 'A');
  std::string out = summary + ".\n\nUsage:\n  " + usage_line(command) + "\n";
  if (!command.description.empty()) {
    for (const std::string_view paragraph : split(command.description, '\n'))
      out += "\n" + wrap(paragraph, 0, kPageWidth) + "\n";
  }
  bool first = true;
  for (const auto& table : command.flags) {
    if (table.empty()) continue;
    if (first) out += "\nFlags:\n";
    first = false;
    out += flag_lines(table);
  }
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
      if (!command.description.empty()) {
        for (const std::string_view paragraph : split(command.description, '\n'))
          out += escape_scdoc(paragraph) + "\n\n";
      }
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
      "# FILES\n\n_/etc/cooper/cooper.toml_, _/usr/lib/cooper/cooper.toml_\n\tConfiguration; the first that exists is "
      "read.\n\n"
      "_/etc/cooper/certs.d/HOST/_, _/etc/cooper/auth.d/_\n\tAuthorities and credentials for "
      "registries.\n\n"
      "_/var/lib/cooper_, _/run/cooper_\n\tImages and pods; running pods. *--root* and *--run-root* move them.\n";
  return out;
}

std::string bash_completion() {
  return R"(# bash completion for cooper; the program itself knows the candidates
_cooper() {
  local IFS=$'\n' candidate
  COMPREPLY=()
  while read -r candidate; do
    case $candidate in
      ':files') COMPREPLY+=($(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")) ;;
      ':directories') COMPREPLY+=($(compgen -d -- "${COMP_WORDS[COMP_CWORD]}")) ;;
      *) COMPREPLY+=("$candidate") ;;
    esac
  done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o filenames -F _cooper cooper
)";
}

std::string complete(const Context& context, std::span<const std::string> words) {
  const std::string current = words.empty() ? std::string() : words.back();
  const Typed typed = read_typed(words.first(words.empty() ? 0 : words.size() - 1));
  std::set<std::string> candidates;
  if (typed.wants_value != nullptr) {
    switch (typed.wants_value->complete) {
      case Flag::Complete::kFile:
        return ":files\n";
      case Flag::Complete::kDirectory:
        return ":directories\n";
      case Flag::Complete::kWords:
        for (const std::string_view word : split(typed.wants_value->words, ' ')) candidates.emplace(word);
        break;
      case Flag::Complete::kNothing:
        return {};
    }
  } else if (current.starts_with("-")) {
    add_flags(candidates, typed.command);
  } else if (typed.command == nullptr) {
    add_commands(candidates, typed.prefix);
  } else if (typed.command->completes == Completes::kFiles) {
    return ":files\n";
  } else if (typed.command->completes != Completes::kNothing) {
    add_names(candidates, context, typed.command->completes);
  }
  std::string out;
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(current)) out += candidate + "\n";
  }
  return out;
}

}  // namespace cooper::cli
