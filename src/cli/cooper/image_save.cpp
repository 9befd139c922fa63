#include "cli/cooper/image_save.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/stop_signals.h"
#include "cli/cooper/target.h"
#include "codec/json.h"
#include "image/save.h"
#include "io/tty.h"
#include "sys/file.h"
#include "sys/retry.h"

namespace cooper::cli {

namespace {

constexpr std::string_view kDockerDir = "docker-dir";
constexpr TransportText kTransportHelp =
    transport_help("; --format takes these words too (default: oci-dir into a directory, else docker-archive)");
constexpr TransportText kConvertHelp = transport_help(" (default: by the end of the name)");

constexpr std::array<std::string_view, kTransportWords.size() + 1> save_formats() {
  std::array<std::string_view, kTransportWords.size() + 1> out = {};
  std::ranges::transform(kTransportWords, out.begin(), &TransportWord::word);
  out.back() = kDockerDir;
  return out;
}

}  // namespace

constexpr std::array<Flag, 3> kSaveFlags = {{
    {"output", 'o', "FILE|DIR", "where to write (default: standard output)", Flag::Complete::kFile},
    {"transport", 0, "KIND", kTransportHelp.view(), Flag::Complete::kWords, kTransportCompletion.view()},
    {"quiet", 'q', "", "no progress, no names"},
}};
constexpr std::array<Flag, 2> kConvertFlags = {{
    {"to", 0, "KIND", kConvertHelp.view(), Flag::Complete::kWords, kTransportCompletion.view()},
    {"quiet", 'q', "", "no progress, no names"},
}};
constexpr std::array<std::string_view, kTransportWords.size() + 1> kSaveFormats = save_formats();

namespace {

using image::Transport;
using Kind = SaveTarget::Kind;

Result<Transport> written_transport(const std::string& word) {
  if (word != kDockerDir) return parse_transport(word);
  return Error(Errc::kUnsupported, "transport " + quoted(word) + " is not written")
      .with_hint("skopeo copy makes it of one of the others: skopeo copy oci:DIR:NAME dir:OTHER-DIR");
}

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
  ASSIGN_OR_RETURN(const Transport transport, written_transport(word));
  ASSIGN_OR_RETURN(const Transport other, written_transport(format));
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
    codec::json::Writer out;
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

Result<int> write_images(const Context& context, const std::vector<std::string>& references, const SaveTarget& target,
                         bool quiet) {
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
                                   .stream = sink ? &*sink : nullptr,
                                   .progress = progress.callback(),
                                   .cancelled = [&] { return signals.pending(); }};
  auto saved = store.save(options);
  progress.clear();
  if (!saved.ok() && saved.error().code() == Errc::kCancelled) die_by_signal(signals.taken());
  if (!saved.ok()) return std::move(saved).error();
  RETURN_IF_ERROR(print_saved(context, target, *saved, quiet));
  return 0;
}

}  // namespace

Result<SaveTarget> save_target(const std::string& output, const std::string& transport) {
  SaveTarget target;
  std::optional<Transport> wanted;
  if (!transport.empty()) {
    ASSIGN_OR_RETURN(wanted, written_transport(transport));
  }
  target.transport = wanted.value_or(Transport::kDockerArchive);
  if (output.empty() || output == "-" || output == "/dev/stdout") {
    if (target.transport != Transport::kOciDirectory) return target;
    return Error(Errc::kInvalidArgument, "a directory cannot be written to standard output")
        .with_hint("name it with --output");
  }
  target.kind = Kind::kPath;
  target.path = output;
  const auto there = sys::fstatat(sys::kCwd, output, 0);
  const bool directory = (there.ok() && S_ISDIR(there->st_mode)) || output.ends_with('/');
  if (!wanted && directory) target.transport = Transport::kOciDirectory;
  const bool archive = target.transport != Transport::kOciDirectory;
  if (directory && archive) {
    return Error(Errc::kInvalidArgument,
                 quoted(output) + " is a directory, and a " + std::string(word_of(target.transport)) + " is a file")
        .with_hint("name a file in it, or use --transport oci-dir");
  }
  if (archive && there.ok() && !S_ISREG(there->st_mode)) target.kind = Kind::kDevice;
  return target;
}

Result<int> save(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const std::string transport, transport_word(args));
  ASSIGN_OR_RETURN(const SaveTarget target, save_target(args.last("output").value_or(""), transport));
  return write_images(context, args.positional(), target, args.enabled("quiet"));
}

Result<int> convert_image(const Context& context, const Args& args) {
  const std::string& output = args.positional()[1];
  std::string word = args.last("to").value_or("");
  if (word.empty() && output.ends_with(".aci")) word = "aci";
  if (word.empty() && output.ends_with(".tar")) word = "oci-archive";
  ASSIGN_OR_RETURN(const SaveTarget target, save_target(output, word));
  if (word.empty() && target.transport != Transport::kOciDirectory)
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
