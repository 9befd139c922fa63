#include "cli/cooper/image_verify.h"

#include <algorithm>
#include <functional>

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/stop_signals.h"
#include "cli/cooper/target.h"
#include "codec/json.h"

namespace cooper::cli {

constexpr std::array<Flag, 3> kVerifyFlags = {{
    {"repair", 0, "", "take away damaged blobs, and damaged trees that no container uses: they are made anew"},
    {"lines", 0, "N", "show at most N paths of an image (default 50, 0: all); JSON has all"},
    {"quiet", 'q', "", "no progress, and nothing of images that are good"},
}};

namespace {

using codec::json::Writer;
using image::Aspect;
using image::AspectChange;
using image::PathChange;
using image::TreeState;
using image::VerifiedBlob;
using image::VerifiedImage;
using Kind = PathChange::Kind;

constexpr std::size_t kDefaultLines = 50;

// What a person writes, or wrote, to name it.
std::string argument_of(const image::Image& image) {
  if (!image.given_names.empty()) return image.given_names.front();
  return image.names.empty() ? std::string(image.id.hex().substr(0, 12)) : image.names.front();
}

std::string shown_name(const image::Image& image) {
  const std::string id(image.id.hex().substr(0, 12));
  return (image.names.empty() ? "<none>" : argument_of(image)) + " (" + id + ")";
}

std::string aspect_name(const AspectChange& change) {
  switch (change.aspect) {
    case Aspect::kModified:
      return "time";
    case Aspect::kAttribute:
      return "attribute " + printable(change.name);
    case Aspect::kLinks:
      return "number of names";
    default:
      return std::string(to_string(change.aspect));
  }
}

std::string print_aspect(const AspectChange& change) {
  if (change.aspect == Aspect::kContent) return "content";
  if (change.aspect == Aspect::kUnreadable) return "cannot be read: " + printable(change.after.value_or(""));
  if (change.aspect == Aspect::kLinkedTo) {
    return (change.after ? "is one file with " + printable(*change.after) : std::string("is a file of its own")) +
           (change.before ? ", not with " + printable(*change.before) : "");
  }
  std::string name = aspect_name(change);
  if (!change.before) return name + " is new";
  if (!change.after) return name + " is gone";
  if (change.aspect == Aspect::kAttribute) return name;
  return name + " is " + printable(*change.after) + ", not " + printable(*change.before);
}

std::string plural(std::uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string print_path(const PathChange& change) {
  std::string line = printable(change.path) + ": ";
  if (change.kind == Kind::kRemoved) return line + "missing (" + std::string(change.type) + ")";
  if (change.kind == Kind::kAdded) return line + "extra (" + std::string(change.type) + ")";
  return line + print_aspects(change.aspects);
}

std::string print_paths(const std::vector<PathChange>& paths, std::size_t lines) {
  const std::size_t shown = lines == 0 ? paths.size() : std::min(lines, paths.size());
  std::string text;
  for (std::size_t i = 0; i < shown; ++i) text += "  " + print_path(paths[i]) + "\n";
  if (shown < paths.size()) {
    text += "  and " + std::to_string(paths.size() - shown) +
            " more paths (--lines 0 shows them, --format json lists them)\n";
  }
  return text;
}

// What to do, when something is left to do.
std::string print_advice(const VerifiedImage& image) {
  const std::string name = argument_of(image.image);
  std::string text;
  const auto has = [&](auto wanted) { return std::ranges::any_of(image.blobs, wanted); };
  using State = VerifiedBlob::State;
  if (has([](const VerifiedBlob& blob) { return blob.state == State::kUnreadable; })) {
    text += "  what cannot be read is left as it is: look for the disk in the kernel's log (dmesg), and verify again\n";
  }
  if (has([](const VerifiedBlob& blob) { return blob.state == State::kCorrupt && !blob.taken_away; })) {
    text += "  to repair: cooper image verify --repair " + name +
            " takes the damaged blobs away; then pull or load the image again\n";
  } else if (has([](const VerifiedBlob& blob) { return blob.state == State::kMissing || blob.taken_away; })) {
    text += "  to repair: pull or load the image again, which brings what is missing\n";
  } else if (!image.record.empty()) {
    text += "  to repair: cooper image rm --force " + std::string(image.image.id.hex().substr(0, 12)) +
            ", or cooper image gc where that does not find it; then pull or load the image again\n";
  }
  if (image.tree != TreeState::kDiffers) return text;
  if (!image.users.empty()) {
    return text + "  the tree is used by " + plural(image.users.size(), "container") + " (" + image.users.front() +
           (image.users.size() > 1 ? " among them" : "") + "): remove them, then cooper image verify --repair " + name +
           "\n";
  }
  if (!image.blobs_good()) return text + "  the tree is left as it is until its layers are there to unpack it anew\n";
  return text + "  to repair: cooper image verify --repair " + name +
         " takes the tree away; the next container unpacks it anew\n";
}

// What is wrong with the erofs image, and what to do about it.
std::string print_erofs(const VerifiedImage& image, std::size_t lines) {
  const std::string why = image.erofs_message.empty() ? std::string() : ": " + printable(image.erofs_message);
  switch (image.erofs) {
    case TreeState::kMadeAnew:
      return "  its erofs image was damaged and is made anew\n";
    case TreeState::kTakenAway:
      return "  its damaged erofs image is taken away, and could not be made anew" + why + "\n";
    case TreeState::kDiffers:
      break;
    default:
      return {};
  }
  const std::string text = "  its erofs image is damaged" + why + "\n" + print_paths(image.erofs_paths, lines);
  const std::string repair = "cooper image verify --repair " + argument_of(image.image);
  if (!image.erofs_users.empty()) {
    return text + "  the erofs image is used by " + plural(image.erofs_users.size(), "container") + " (" +
           image.erofs_users.front() + (image.erofs_users.size() > 1 ? " among them" : "") + "): remove them, then " +
           repair + "\n";
  }
  if (!image.blobs_good()) return text + "  it is left as it is until the layers are there to make it of\n";
  return text + "  to repair: " + repair + " makes it anew\n";
}

std::string print_blob(const VerifiedBlob& blob) {
  const std::string name = blob.what + " (" + blob.digest.str() + ")";
  if (blob.state == VerifiedBlob::State::kMissing) return name + " is missing";
  // Its own sentence begins with the name; that of a failing disk does not.
  const std::string text =
      blob.message.starts_with(blob.what) ? blob.message.substr(blob.what.size()) : " cannot be read: " + blob.message;
  return name + printable(text) + (blob.taken_away ? "; taken away" : "");
}

std::string good_line(const VerifiedImage& image) {
  std::string text = "good, " + plural(image.blobs.size(), "blob");
  if (image.tree == TreeState::kGood) text += ", " + plural(image.tree_entries, "path");
  if (image.erofs == TreeState::kGood) text += ", the erofs image";
  if (image.tree == TreeState::kNotUnpacked && image.erofs == TreeState::kNotUnpacked) text += ", not unpacked";
  return text;
}

void optional_text(Writer& out, std::string_view key, const std::optional<std::string>& text) {
  out.key(key);
  text ? out.string(*text) : out.null();
}

// Names of files need not be UTF-8, as JSON must.
void write_path(Writer& out, const std::string& path) {
  out.field("path", path);
  std::string_view rest = path;
  while (!rest.empty()) {
    const std::size_t n = utf8_length(rest);
    if (n == 0) {
      out.field("path_hex", hex_encode(path));
      return;
    }
    rest.remove_prefix(n);
  }
}

struct Words {
  std::array<std::string_view, 3> kinds;  // added, changed, removed
  std::string_view kind;
  std::string_view before;
  std::string_view after;
};
constexpr Words kVerifyWords = {{"extra", "changed", "missing"}, "finding", "expected", "found"};
constexpr Words kDiffWords = {{"added", "changed", "removed"}, "change", "before", "after"};

void describe_path(Writer& out, const PathChange& change, const Words& words) {
  out.begin_object();
  write_path(out, change.path);
  out.field(words.kind, words.kinds[static_cast<std::size_t>(change.kind)]).field("type", change.type);
  out.key("aspects").begin_array();
  for (const AspectChange& aspect : change.aspects) {
    out.begin_object().field("aspect", to_string(aspect.aspect));
    if (!aspect.name.empty()) out.field("name", aspect.name);
    optional_text(out, words.before, aspect.before);
    optional_text(out, words.after, aspect.after);
    out.end_object();
  }
  out.end_array().end_object();
}

void describe_blob(Writer& out, const VerifiedBlob& blob) {
  out.begin_object().field("what", blob.what).field("digest", blob.digest.str());
  out.field("state", to_string(blob.state)).key("message");
  blob.message.empty() ? out.null() : out.string(blob.message);
  out.field("taken_away", blob.taken_away).end_object();
}

void describe_verified(Writer& out, const VerifiedImage& image) {
  out.begin_object().field("id", image.image.id.str()).field("names", image.image.names);
  out.field("good", image.good()).field("removed_meanwhile", image.removed).field("record", image.record);
  out.key("blobs").begin_array();
  for (const VerifiedBlob& blob : image.blobs) describe_blob(out, blob);
  out.end_array().key("tree").begin_object().field("state", to_string(image.tree));
  out.key("message");
  image.tree_message.empty() ? out.null() : out.string(image.tree_message);
  out.field("compared_paths", image.tree_entries).field("used_by", image.users);
  out.key("paths").begin_array();
  for (const PathChange& path : image.paths) describe_path(out, path, kVerifyWords);
  out.end_array().end_object().key("erofs").begin_object().field("state", to_string(image.erofs)).key("message");
  image.erofs_message.empty() ? out.null() : out.string(image.erofs_message);
  out.field("used_by", image.erofs_users).key("paths").begin_array();
  for (const PathChange& path : image.erofs_paths) describe_path(out, path, kVerifyWords);
  out.end_array().end_object().end_object();
}

// What reads for long: a line that says how far it is, and an end by a signal. `work` gets what to watch with.
template <typename T>
Result<T> watched(bool quiet, const std::function<Result<T>(const image::ReadWatch&)>& work) {
  ASSIGN_OR_RETURN(StopSignals signals, StopSignals::open());
  ProgressDisplay progress(quiet);
  auto done = work({.progress = progress.callback(), .cancelled = [&] { return signals.pending(); }});
  progress.clear();
  if (!done.ok() && done.error().code() == Errc::kCancelled) die_by_signal(signals.taken());
  return done;
}

Result<std::size_t> lines_flag(const Args& args) {
  const auto text = args.last("lines");
  if (!text) return kDefaultLines;
  const auto number = parse_number<std::size_t>(*text);
  if (!number) return Error(Errc::kInvalidArgument, "--lines: " + quoted(*text) + " is not a number");
  return *number;
}

}  // namespace

std::string print_aspects(const std::vector<AspectChange>& aspects) {
  std::vector<std::string> parts;
  parts.reserve(aspects.size());
  for (const AspectChange& aspect : aspects) parts.push_back(print_aspect(aspect));
  return join(parts, "; ");
}

std::string print_verified(const VerifiedImage& image, std::size_t lines, bool quiet) {
  const std::string head = shown_name(image.image) + ": ";
  if (image.removed) return quiet ? "" : head + "removed meanwhile\n";
  const bool repaired = image.tree == TreeState::kTakenAway || image.erofs == TreeState::kTakenAway ||
                        image.erofs == TreeState::kMadeAnew;
  if (image.good() && !repaired) return quiet ? "" : head + good_line(image) + "\n";
  std::string text = head + (image.good() ? "repaired" : "damaged") + "\n";
  for (const std::string& line : image.record) text += "  " + printable(line) + "\n";
  for (const VerifiedBlob& blob : image.blobs) {
    if (blob.state != VerifiedBlob::State::kGood) text += "  " + print_blob(blob) + "\n";
  }
  if (image.tree == TreeState::kNotCompared) {
    text += "  its unpacked tree was not compared" +
            (image.tree_message.empty() ? std::string() : ": " + printable(image.tree_message)) + "\n";
  }
  text += print_paths(image.paths, lines);
  if (image.tree == TreeState::kTakenAway) text += "  the tree is taken away; the next container unpacks it anew\n";
  return text + print_erofs(image, lines) + print_advice(image);
}

std::string print_change(const PathChange& change) {
  constexpr std::array<char, 3> kLetters = {'A', 'C', 'D'};
  std::string line(1, kLetters[static_cast<std::size_t>(change.kind)]);
  line += " " + printable(change.path);
  if (change.kind == Kind::kChanged) line += "  " + print_aspects(change.aspects);
  return line + "\n";
}

Result<int> verify(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const std::size_t lines, lines_flag(args));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  const bool quiet = args.enabled("quiet");
  auto verified = watched<std::vector<VerifiedImage>>(quiet, [&](const image::ReadWatch& watch) {
    return store.verify({.references = args.positional(), .repair = args.enabled("repair"), .watch = watch});
  });
  if (!verified.ok()) return std::move(verified).error();
  const bool good = std::ranges::all_of(*verified, &VerifiedImage::good);
  if (context.json()) {
    Writer out = context.json_writer();
    out.begin_object().field("good", good).key("images").begin_array();
    for (const VerifiedImage& image : *verified) describe_verified(out, image);
    out.end_array().end_object();
    RETURN_IF_ERROR(print_json(out));
  } else {
    std::string text;
    for (const VerifiedImage& image : *verified) text += print_verified(image, lines, quiet);
    RETURN_IF_ERROR(print(text));
  }
  return good ? 0 : kExitDiffers;
}

Result<int> diff(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  ASSIGN_OR_RETURN(const image::Image before, store.find(args.positional()[0]));
  ASSIGN_OR_RETURN(const image::Image after, store.find(args.positional()[1]));
  auto changes = watched<std::vector<PathChange>>(
      false, [&](const image::ReadWatch& watch) { return store.diff(before, after, watch); });
  if (!changes.ok()) return std::move(changes).error();
  if (context.json()) {
    Writer out = context.json_writer();
    out.begin_object().field("before", before.id.str()).field("after", after.id.str()).key("changes").begin_array();
    for (const PathChange& change : *changes) describe_path(out, change, kDiffWords);
    out.end_array().end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  std::string text;
  for (const PathChange& change : *changes) text += print_change(change);
  RETURN_IF_ERROR(print(text));
  return 0;
}

}  // namespace cooper::cli
