#include "cli/cooper/completion.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "image/store.h"
#include "sys/file.h"

namespace cooper::cli {
namespace {

using Candidates = std::set<std::string>;

// Of each flag that says where things are, what it says.
constexpr std::array<std::string_view, 3> kPlaceFlags = {"root", "run-root", "config"};

// As image ls shows them.
constexpr std::size_t kShortIdDigits = 12;

constexpr std::string_view kFilesLine = ":files\n";
constexpr std::string_view kDirectoriesLine = ":directories\n";

// What has been typed before the word to complete, as far as it matters.
struct Typed {
  const Command* command = nullptr;
  bool help = false;                  // "help" stands before the command
  std::string prefix;                 // words of an unfinished command path
  const Flag* wants_value = nullptr;  // the word is this flag's value
  int arguments = 0;                  // of the command
  bool flags_ended = false;
  std::vector<std::string> places;  // kPlaceFlags and their values
};

std::array<std::span<const Flag>, 4> tables_of(const Command* command) {
  std::array<std::span<const Flag>, 4> tables;
  if (command != nullptr) std::copy(command->flags.begin(), command->flags.end(), tables.begin());
  tables[3] = global_flags();
  return tables;
}

void read_word(Typed& typed, const std::string& word) {
  if (typed.command == nullptr) {
    if (typed.prefix.empty() && word == "help") {
      typed.help = true;
      return;
    }
    typed.prefix += (typed.prefix.empty() ? "" : " ") + word;
    typed.command = find_command(typed.prefix);
    return;
  }
  ++typed.arguments;
  // The rest of the line belongs to the container.
  typed.flags_ended = typed.command->order == Order::kBeforeArguments && typed.command->later == Completes::kNothing;
}

// The flag whose value is the next word.
const Flag* read_flag(const Typed& typed, const std::string& word) {
  const auto tables = tables_of(typed.command);
  if (word.starts_with("--")) {
    const Flag* flag = find_flag(tables, std::string_view(word).substr(2));
    return flag != nullptr && !flag->value.empty() ? flag : nullptr;
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    const Flag* flag = find_flag(tables, word[i]);
    // What follows the letter is its value already.
    if (flag != nullptr && !flag->value.empty()) return i + 1 == word.size() ? flag : nullptr;
  }
  return nullptr;
}

bool is_place(std::string_view flag) {
  return std::ranges::find(kPlaceFlags, flag) != kPlaceFlags.end();
}

Typed read_typed(std::span<const std::string> before) {
  Typed typed;
  for (const std::string& word : before) {
    if (typed.wants_value != nullptr) {
      if (is_place(typed.wants_value->name))
        typed.places.push_back("--" + std::string(typed.wants_value->name) + "=" + word);
      typed.wants_value = nullptr;
    } else if (typed.flags_ended || word == "-" || !word.starts_with("-")) {
      read_word(typed, word);
    } else if (const auto equals = word.find('='); word.starts_with("--") && equals != std::string::npos) {
      if (is_place(std::string_view(word).substr(2, equals - 2))) typed.places.push_back(word);
    } else {
      typed.wants_value = read_flag(typed, word);
    }
  }
  return typed;
}

void add_commands(Candidates& out, const Typed& typed) {
  for (const Group& group : command_groups()) {
    for (const Command& command : group.commands) {
      std::string_view rest = command.path;
      if (command.hidden) continue;
      if (!typed.prefix.empty()) {
        if (!rest.starts_with(typed.prefix) || rest.size() <= typed.prefix.size() || rest[typed.prefix.size()] != ' ')
          continue;
        rest.remove_prefix(typed.prefix.size() + 1);
      }
      out.emplace(rest.substr(0, rest.find(' ')));
    }
  }
  if (typed.prefix.empty() && !typed.help) out.insert("help");
}

void add_flags(Candidates& out, const Command* command) {
  for (const auto& table : tables_of(command)) {
    for (const Flag& flag : table) out.insert("--" + std::string(flag.name));
  }
}

void add_words(Candidates& out, std::string_view words) {
  for (const std::string_view word : split(words, ' ')) out.emplace(word);
}

// Names first: ids are for who types one, and for images that have nothing else.
void add_images(Candidates& out, const pod::Engine& engine, const std::string& current) {
  const auto store = engine.images();
  if (!store.ok()) return;
  const auto images = store->list();
  if (!images.ok()) return;
  bool named = current.empty();
  for (const image::Image& image : *images) {
    out.insert(image.names.begin(), image.names.end());
    if (image.names.empty()) out.insert(std::string(image.id.hex().substr(0, kShortIdDigits)));
    named = named || std::ranges::any_of(image.names, [&](const auto& name) { return name.starts_with(current); });
  }
  if (named) return;
  for (const image::Image& image : *images) {
    for (const std::string& id : {image.id.str(), std::string(image.id.hex())}) {
      // As much of it as is shown everywhere, or all when more was typed.
      const std::size_t shown = id.size() - image.id.hex().size() + kShortIdDigits;
      out.insert(current.size() > shown ? id : id.substr(0, shown));
    }
  }
}

void add_pods(Candidates& out, const pod::Engine& engine, bool running) {
  const auto pods = engine.list();
  if (!pods.ok()) return;
  for (const pod::PodInfo& pod : *pods) {
    if (running && pod.state != pod::State::kRunning) continue;
    out.insert(pod.name.empty() ? pod.uuid.short_str() : pod.name);
  }
}

// The context that the words ask for; nullptr: what they name is not there, or not right.
const Context* place_of(const Context& own, const Typed& typed, std::optional<Context>& other) {
  if (typed.places.empty()) return &own;
  const std::array<std::span<const Flag>, 1> global = {global_flags()};
  const auto args = parse_args(global, typed.places, Order::kAnywhere);
  if (!args.ok()) return nullptr;
  auto settings = load_settings(*args);
  if (!settings.ok()) return nullptr;
  // To open an engine makes its directories, and the path may be half of one.
  for (const std::string& path : {settings->engine.root, settings->engine.run_root}) {
    // Of a user without privileges nothing runs.
    const bool needed = caller_is_root() || path == settings->engine.root;
    if (needed && !sys::fstatat(sys::kCwd, path, 0).ok()) return nullptr;
  }
  return &other.emplace(std::move(*settings), Needs::kImages);
}

// A store that cannot be read completes to nothing.
void add_names(Candidates& out, const Context& own, const Typed& typed, Completes what, const std::string& current) {
  std::optional<Context> other;
  const Context* context = place_of(own, typed, other);
  if (context == nullptr) return;
  const auto engine = context->engine();
  if (!engine.ok()) return;
  if (what == Completes::kImages || what == Completes::kImagesOrFiles) {
    add_images(out, *engine, current);
  } else {
    add_pods(out, *engine, what == Completes::kRunning);
  }
}

bool is_path(std::string_view word) {
  return word.starts_with('/') || word.starts_with('.') || word.starts_with('~');
}

// The line that leaves it to the shell; empty: `out` has what there is.
std::string_view add_arguments(Candidates& out, const Context& context, const Typed& typed,
                               const std::string& current) {
  const Command& command = *typed.command;
  if (command.max_args >= 0 && typed.arguments >= command.max_args) return {};
  const bool first = typed.arguments == 0 || command.later == Completes::kAsFirst;
  const Completes what = first ? command.completes : command.later;
  switch (what) {
    case Completes::kNothing:
    case Completes::kAsFirst:
      return {};
    case Completes::kFiles:
      return kFilesLine;
    case Completes::kDirectories:
      return kDirectoriesLine;
    case Completes::kShells:
      out.insert("bash");
      return {};
    case Completes::kImagesOrFiles:
      if (is_path(current)) return kFilesLine;
      break;
    case Completes::kImages:
    case Completes::kContainers:
    case Completes::kRunning:
    case Completes::kPods:
      break;
  }
  add_names(out, context, typed, what, current);
  return {};
}

std::string_view add_values(Candidates& out, const Flag& flag) {
  switch (flag.complete) {
    case Flag::Complete::kFile:
      return kFilesLine;
    case Flag::Complete::kDirectory:
      return kDirectoriesLine;
    case Flag::Complete::kWords:
      add_words(out, flag.words);
      break;
    case Flag::Complete::kNothing:
      break;
  }
  return {};
}

}  // namespace

std::string bash_completion() {
  return R"(# bash completion for cooper; the program itself knows the candidates
_cooper() {
  local IFS=$'\n' line=${COMP_LINE:0:COMP_POINT} words=() found=() word blank candidate cur head='' breaks='' flag='' i
  # What the shell has parted at : = and @ is one word.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    blank=${line%%[![:space:]]*}
    line=${line#"$blank"}
    word=${COMP_WORDS[i]}
    ((i == COMP_CWORD)) && word=$line
    if [[ $i == 0 || -n $blank || $line != "$word"* ]]; then words+=("$word"); else words[-1]+=$word; fi
    line=${line#"$word"}
  done
  cur=${words[-1]}
  # Replaced is only what stands behind the last of them.
  for candidate in = @ :; do [[ $COMP_WORDBREAKS == *"$candidate"* ]] && breaks+=$candidate; done
  [[ -n $breaks ]] && head=${cur%"${cur##*["$breaks"]}"}
  [[ $cur == --*=* ]] && flag=${cur%%=*}=
  COMPREPLY=()
  while read -r candidate; do
    case $candidate in
      ':files') mapfile -t found < <(compgen -f -- "${cur#"$flag"}") ;;
      ':directories') mapfile -t found < <(compgen -d -- "${cur#"$flag"}") ;;
      *) COMPREPLY+=("$candidate") && continue ;;
    esac
    compopt -o filenames 2>/dev/null
    COMPREPLY+=("${found[@]/#/$flag}")
  done < <("${COMP_WORDS[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
  COMPREPLY=("${COMPREPLY[@]#"$head"}")
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}
complete -F _cooper cooper
)";
}

std::string complete(const Context& context, std::span<const std::string> words) {
  std::string current = words.empty() ? std::string() : words.back();
  Typed typed = read_typed(words.first(words.empty() ? 0 : words.size() - 1));
  std::string flag;
  if (const auto equals = current.find('=');
      typed.wants_value == nullptr && !typed.flags_ended && current.starts_with("--") && equals != std::string::npos) {
    typed.wants_value = read_flag(typed, current.substr(0, equals));
    if (typed.wants_value == nullptr) return {};
    flag = current.substr(0, equals + 1);
    current.erase(0, equals + 1);
  }
  Candidates candidates;
  std::string_view line;
  if (typed.wants_value != nullptr) {
    line = add_values(candidates, *typed.wants_value);
  } else if (current.starts_with("-") && !typed.flags_ended) {
    add_flags(candidates, typed.command);
  } else if (typed.command == nullptr) {
    add_commands(candidates, typed);
  } else if (!typed.help) {
    line = add_arguments(candidates, context, typed, current);
  }
  std::string out(line);
  for (const std::string& candidate : candidates) {
    if (candidate.starts_with(current)) out += flag + candidate + "\n";
  }
  return out;
}

}  // namespace cooper::cli
