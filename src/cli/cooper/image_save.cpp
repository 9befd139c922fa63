#include "cli/cooper/image_save.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <optional>

#include "base/strings.h"
#include "cli/cooper/image_place.h"
#include "cli/cooper/output.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/stop_signals.h"
#include "cli/cooper/target.h"
#include "codec/json.h"
#include "io/tty.h"
#include "spec/oci_image/reference.h"
#include "sys/file.h"
#include "sys/retry.h"

namespace cooper::cli {

namespace {

constexpr TransportText kTransportHelp =
    transport_help("; --format takes these words too (default: oci-dir into a directory, else docker-archive)");
constexpr TransportText kConvertHelp = transport_help(" (default: by the end of the name)");

constexpr std::array<std::string_view, kTransportWords.size()> save_formats() {
  std::array<std::string_view, kTransportWords.size()> out = {};
  std::ranges::transform(kTransportWords, out.begin(), &TransportWord::word);
  return out;
}

}  // namespace

constexpr std::array<Flag, 3> kSaveFlags = {{
    {"output", 'o', "PLACE", "file, directory or KIND:PATH[:NAME] (default: standard output)", Flag::Complete::kFile},
    {"transport", 0, "KIND", kTransportHelp.view(), Flag::Complete::kWords, kTransportCompletion.view()},
    {"quiet", 'q', "", "no progress, no names"},
}};
constexpr std::array<Flag, 2> kConvertFlags = {{
    {"to", 0, "KIND", kConvertHelp.view(), Flag::Complete::kWords, kTransportCompletion.view()},
    {"quiet", 'q', "", "no progress, no names"},
}};
constexpr std::array<std::string_view, kTransportWords.size()> kSaveFormats = save_formats();

namespace {

using image::Transport;
using Kind = SaveTarget::Kind;

// A descriptor whose reader may let us wait: a signal ends that.
class StoppableOutput final : public codec::ByteSink {
 public:
  StoppableOutput(BorrowedFd fd, const StopSignals& signals, std::string what)
      : fd_(fd), signals_(signals), what_(std::move(what)) {
    const auto info = sys::fstat(fd);
    chunk_ = info.ok() && S_ISREG(info->st_mode) ? std::string_view::npos : kPipeChunk;
  }

  Status write(std::string_view bytes) override {
    while (!bytes.empty()) {
      struct pollfd entries[] = {{signals_.fd().get(), POLLIN, 0}, {fd_.get(), POLLOUT, 0}};
      if (sys::retry([&] { return ::poll(entries, 2, -1); }) < 0) return Error::from_errno(errno, "wait for " + what_);
      if (entries[0].revents != 0) return Error(Errc::kCancelled, "saving was cancelled", ECANCELED);
      auto written = sys::write(fd_, bytes.substr(0, chunk_));
      if (written.ok()) {
        bytes.remove_prefix(*written);
      } else if (written.error().errno_value() != EAGAIN) {
        return std::move(written).error().with(what_);
      }
    }
    return {};
  }

 private:
  // A pipe that polls ready takes this much without blocking (PIPE_BUF).
  static constexpr std::size_t kPipeChunk = 4096;
  BorrowedFd fd_;
  const StopSignals& signals_;
  std::string what_;
  std::size_t chunk_ = kPipeChunk;
};

// The flag, or podman's word for the same thing.
Result<std::string> transport_word(const Args& args) {
  const std::string word = args.last("transport").value_or("");
  std::string format;
  for (const std::string& one : args.all("format")) {
    if (std::ranges::find(kSaveFormats, one) != kSaveFormats.end()) format = one;
  }
  if (word.empty() || format.empty()) return word.empty() ? format : word;
  ASSIGN_OR_RETURN(const Transport transport, parse_transport(word));
  ASSIGN_OR_RETURN(const Transport other, parse_transport(format));
  if (transport == other) return word;
  return Error(Errc::kInvalidArgument, "--transport " + word + " and --format " + format + " contradict each other");
}

Error terminal_error(const std::string& what) {
  return Error(Errc::kInvalidArgument, what + " is a terminal, and an archive is nothing to look at")
      .with_hint("use --output, or a pipe");
}

// Where a stream goes; none when a path is written.
Result<UniqueFd> open_stream(const SaveTarget& target) {
  if (target.kind == Kind::kPath) return UniqueFd();
  const std::string what = target.kind == Kind::kDevice ? quoted(target.path) : "standard output";
  ASSIGN_OR_RETURN(UniqueFd fd, target.kind == Kind::kDevice ? sys::openat(sys::kCwd, target.path, O_WRONLY | O_NOCTTY)
                                                             : sys::dup_cloexec(BorrowedFd(STDOUT_FILENO)));
  if (io::is_terminal(fd)) return terminal_error(what);
  return fd;
}

// Nothing where the archive itself went.
Status print_saved(const Context& context, const SaveTarget& target, const image::SaveResult& saved, bool quiet) {
  if (target.kind == Kind::kStandardOutput) return {};
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().field("path", target.path).field("transport", word_of(target.transport));
    out.field("size_bytes", saved.size_bytes).key("images").begin_array();
    for (const image::Image& image : saved.images) {
      out.begin_object().field("id", image.id.str()).field("manifest_digest", image.manifest_digest.str());
      out.field("names", image.given_names).end_object();
    }
    out.end_array().end_object();
    return print_json(out);
  }
  if (quiet) return {};
  std::string text;
  for (const image::Image& image : saved.images) {
    if (image.given_names.empty()) text += "Saved image: " + image.id.str() + "\n";
    for (const std::string& name : image.given_names) text += "Saved image: " + name + "\n";
  }
  return print(text);
}

// Of a name in an OCI layout: containers' tools take no other characters (image-spec, "pre-defined annotation keys").
Status check_layout_name(const std::string& name) {
  const auto plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0; };
  const auto fits = [&](char c) { return plain(c) || std::string_view("._-+:@/").find(c) != std::string_view::npos; };
  if (plain(name.front()) && plain(name.back()) && std::ranges::all_of(name, fits)) return {};
  return Error(Errc::kInvalidArgument, "name " + quoted(name) + " is none that a layout can have")
      .with_hint("letters, digits and . _ - + : @ / between them: v1.2, for example");
}

// The image's name in the place, as it is written there.
Result<std::string> name_there(Transport transport, const std::string& name) {
  if (name.empty()) return name;
  if (transport == Transport::kAci || transport == Transport::kSkopeoDirectory)
    return Error(Errc::kInvalidArgument, "the path is followed by " + quoted(name) + ", and " +
                                             std::string(word_of(transport)) + " has no names");
  if (transport != Transport::kDockerArchive) {
    RETURN_IF_ERROR(check_layout_name(name));
    return name;
  }
  ASSIGN_OR_RETURN(oci_image::Reference reference, oci_image::parse_reference(name));
  if (reference.digest)
    return Error(Errc::kInvalidArgument, "name " + quoted(name) + " has a digest, and docker-archive has tags only");
  return oci_image::qualify(std::move(reference), oci_image::kDockerHub).name();
}

}  // namespace

Result<image::SaveResult> write_to(const Context& context, const std::vector<std::string>& references,
                                   const SaveTarget& target, bool quiet) {
  RETURN_IF_ERROR(check_images(references));
  ASSIGN_OR_RETURN(const UniqueFd stream, open_stream(target));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  ignore_broken_pipes();
  ASSIGN_OR_RETURN(StopSignals signals, StopSignals::open());
  std::optional<StoppableOutput> sink;
  if (stream) sink.emplace(stream, signals, target.kind == Kind::kDevice ? quoted(target.path) : "standard output");
  ProgressDisplay progress(quiet);
  const image::SaveOptions options{.references = references,
                                   .transport = target.transport,
                                   .path = target.path,
                                   .as = target.as,
                                   .add = target.add,
                                   .stream = sink ? &*sink : nullptr,
                                   .progress = progress.callback(),
                                   .cancelled = [&] { return signals.pending(); }};
  auto saved = store.save(options);
  progress.clear();
  if (!saved.ok() && saved.error().code() == Errc::kCancelled) die_by_signal(signals.taken());
  return saved;
}

namespace {

Result<int> write_images(const Context& context, const std::vector<std::string>& references, const SaveTarget& target,
                         bool quiet) {
  ASSIGN_OR_RETURN(const image::SaveResult saved, write_to(context, references, target, quiet));
  RETURN_IF_ERROR(print_saved(context, target, saved, quiet));
  return 0;
}

}  // namespace

Result<std::optional<SaveTarget>> written_place(const std::string& text) {
  const auto place = place_to_write(text);
  if (!place) return std::optional<SaveTarget>();
  if (place->path.empty())
    return Error(Errc::kInvalidArgument, quoted(text) + " names no path").with_hint("use " + std::string(kPlaceWords));
  auto name = name_there(place->transport, place->only);
  if (!name.ok()) return std::move(name).error().with(quoted(text));
  ASSIGN_OR_RETURN(SaveTarget target, save_target(place->path, std::string(word_of(place->transport))));
  target.as = std::move(*name);
  target.add = true;
  return std::optional(std::move(target));
}

Result<SaveTarget> save_target(const std::string& output, const std::string& transport) {
  if (transport.empty()) {
    ASSIGN_OR_RETURN(auto place, written_place(output));
    if (place) return std::move(*place);
  }
  SaveTarget target;
  std::optional<Transport> wanted;
  if (!transport.empty()) {
    ASSIGN_OR_RETURN(wanted, parse_transport(transport));
  }
  target.told = wanted.has_value();
  target.transport = wanted.value_or(Transport::kDockerArchive);
  if (output.empty() || output == "-" || output == "/dev/stdout") {
    if (!image::is_directory(target.transport)) return target;
    return Error(Errc::kInvalidArgument, "a directory cannot be written to standard output")
        .with_hint("name it with --output");
  }
  target.kind = Kind::kPath;
  target.path = output;
  const auto there = sys::fstatat(sys::kCwd, output, 0);
  const bool directory = (there.ok() && S_ISDIR(there->st_mode)) || output.ends_with('/');
  if (!wanted && directory) target.transport = Transport::kOciDirectory;
  const bool archive = !image::is_directory(target.transport);
  if (directory && archive) {
    return Error(Errc::kInvalidArgument,
                 quoted(output) + " is a directory, and a " + std::string(word_of(target.transport)) + " is a file")
        .with_hint("name a file in it, or use --transport oci-dir");
  }
  if (archive && there.ok() && !S_ISREG(there->st_mode)) target.kind = Kind::kDevice;
  return target;
}

namespace {

// An output may name its transport as well.
Result<SaveTarget> told_target(const std::string& output, const std::string& transport) {
  if (transport.empty()) return save_target(output, transport);
  ASSIGN_OR_RETURN(auto place, written_place(output));
  if (!place) return save_target(output, transport);
  ASSIGN_OR_RETURN(const Transport wanted, parse_transport(transport));
  if (place->transport == wanted) return std::move(*place);
  return Error(Errc::kInvalidArgument, quoted(output) + " and " + transport + " contradict each other")
      .with_hint("leave one of them out");
}

}  // namespace

Result<int> save(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const std::string transport, transport_word(args));
  ASSIGN_OR_RETURN(const SaveTarget target, told_target(args.last("output").value_or(""), transport));
  return write_images(context, args.positional(), target, args.enabled("quiet"));
}

Result<int> export_image(const Context& context, const Args& args) {
  const std::string& output = args.positional()[1];
  ASSIGN_OR_RETURN(const SaveTarget target, save_target(output, "aci"));
  if (target.kind == Kind::kPath && !args.enabled("overwrite") &&
      sys::fstatat(sys::kCwd, output, AT_SYMLINK_NOFOLLOW).ok())
    return Error(Errc::kAlreadyExists, "file " + quoted(output) + " is there already", EEXIST)
        .with_hint("name another, or use --overwrite");
  return write_images(context, {args.positional().front()}, target, args.enabled("quiet"));
}

Result<int> convert_image(const Context& context, const Args& args) {
  const std::string& output = args.positional()[1];
  std::string word = args.last("to").value_or("");
  if (word.empty() && output.ends_with(".aci")) word = "aci";
  if (word.empty() && output.ends_with(".tar")) word = "oci-archive";
  ASSIGN_OR_RETURN(const SaveTarget target, save_target(output, word));
  if (!target.told && target.transport != Transport::kOciDirectory)
    return Error(Errc::kInvalidArgument, "the name " + quoted(output) + " does not tell what to convert to")
        .with_hint("end it in .aci, .tar or a slash, or use --to " + std::string(kTransportList.view()));
  const std::string& source = args.positional().front();
  auto status = write_images(context, {source}, target, args.enabled("quiet"));
  const bool no_image =
      !status.ok() && (status.error().code() == Errc::kNotFound || status.error().code() == Errc::kInvalidArgument);
  if (no_image && sys::fstatat(sys::kCwd, source, 0).ok())
    return std::move(status).error().with_hint("images of the store are converted: cooper image load " + source +
                                               " puts in those of the file, and says what they are called");
  return status;
}

}  // namespace cooper::cli
