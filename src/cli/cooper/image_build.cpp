#include "cli/cooper/image_build.h"

#include <stdlib.h>

#include <limits>

#include "base/strings.h"
#include "cli/cooper/fetch.h"
#include "cli/cooper/image_policy.h"
#include "cli/cooper/progress_display.h"
#include "cli/cooper/relay.h"
#include "cli/cooper/run_request.h"
#include "cli/cooper/stop_signals.h"
#include "cli/cooper/time_text.h"
#include "log/log.h"
#include "spec/oci_image/platform.h"

namespace cooper::cli {

constexpr std::array<Flag, 22> kBuildFlags = {{
    {"tag", 't', "NAME[:TAG]", "name of the image, as the argument"},
    {"from", 0, "IMAGE", "put the layer on top of those of this image"},
    {"entrypoint", 0, "WORD|JSON", "what a container runs: words, one a flag, or a JSON array"},
    {"cmd", 0, "WORD|JSON", "default arguments: words, one a flag, or a JSON array"},
    {"env", 'e', "NAME=VALUE", "environment variable"},
    {"user", 'u', "USER[:GROUP]", "whose rights a container has"},
    {"workdir", 'w', "DIR", "working directory"},
    {"label", 'l', "NAME[=VALUE]", "label of the configuration"},
    {"annotation", 0, "NAME=VALUE", "annotation of the manifest"},
    {"port", 0, "PORT[/PROTOCOL]", "port that is listened on; --expose is the same"},
    {"expose", 0, "PORT[/PROTOCOL]", "as --port"},
    {"volume", 'v', "DIR", "directory that is a volume"},
    {"stop-signal", 0, "SIGNAL", "what asks a container to end"},
    {"author", 0, "TEXT", "who made it"},
    {"message", 'm', "TEXT", "for the image's history"},
    {"platform", 0, "OS/ARCH[/VARIANT]", "which machines it is for (default: this one's kind)"},
    {"created", 0, "TIME",
     "when it was made; no file in it is newer (default: SOURCE_DATE_EPOCH, or the time of the newest file)"},
    {"owner", 0, "UID:GID", "owner of all files (default: as they are)"},
    {"exclude", 0, "PATTERN", "leave out what matches, as a line of .cooperignore"},
    {"compression", 0, "KIND", "gzip (default), zstd or none", Flag::Complete::kWords, "gzip zstd none"},
    {"ignorefile", 0, "FILE", "patterns of what to leave out (default: .cooperignore in DIR)", Flag::Complete::kFile},
    {"quiet", 'q', "", "no progress; only the id"},
}};

namespace {

// One JSON array, or a word a flag.
Result<std::optional<std::vector<std::string>>> command_words(const Args& args, std::string_view flag) {
  const std::vector<std::string> words = args.all(flag);
  if (words.empty()) return std::optional<std::vector<std::string>>();
  if (words.size() > 1) return std::optional(words);
  auto parsed = parse_entrypoint(words.front());
  if (!parsed.ok()) return flag_error(flag, words.front(), parsed.error().message());
  return std::optional(std::move(*parsed));
}

Result<std::optional<std::pair<std::uint32_t, std::uint32_t>>> owner_flag(const Args& args) {
  std::optional<std::pair<std::uint32_t, std::uint32_t>> out;
  const auto text = args.last("owner");
  if (!text) return out;
  const auto parts = split_once(*text, ':');
  const auto uid = parts ? parse_number<std::uint32_t>(parts->first) : std::nullopt;
  const auto gid = parts ? parse_number<std::uint32_t>(parts->second) : std::nullopt;
  constexpr std::uint32_t kNobody = std::numeric_limits<std::uint32_t>::max();
  if (!uid || !gid || *uid == kNobody || *gid == kNobody)
    return flag_error("owner", *text, "must be two numbers, UID:GID");
  out = {*uid, *gid};
  return out;
}

Result<codec::Compression> compression_flag(const Args& args) {
  const std::string word = args.last("compression").value_or("gzip");
  for (const codec::Compression one : {codec::Compression::kGzip, codec::Compression::kZstd, codec::Compression::kNone})
    if (word == codec::to_string(one)) return one;
  return flag_error("compression", word, "must be gzip, zstd or none");
}

Result<std::optional<std::int64_t>> created_flag(const Args& args, const std::optional<std::string>& source_date_epoch,
                                                 std::int64_t now_ns) {
  if (const auto text = args.last("created")) {
    auto moment = parse_moment_ns(*text, now_ns);
    if (!moment.ok()) return flag_error("created", *text, moment.error().message());
    return std::optional(*moment / kNsPerSecond);
  }
  if (!source_date_epoch) return std::optional<std::int64_t>();
  const auto seconds = parse_number<std::int64_t>(*source_date_epoch);
  if (!seconds || *seconds < 0)
    return Error(Errc::kInvalidArgument,
                 "SOURCE_DATE_EPOCH is " + quoted(*source_date_epoch) + ", not a number of seconds since 1970");
  return std::optional(*seconds);
}

Status config_flags(const Args& args, image::BuildConfig& config) {
  ASSIGN_OR_RETURN(config.entrypoint, command_words(args, "entrypoint"));
  ASSIGN_OR_RETURN(config.cmd, command_words(args, "cmd"));
  config.env = args.all("env");
  config.user = args.last("user");
  config.working_dir = args.last("workdir");
  config.stop_signal = args.last("stop-signal");
  config.author = args.last("author");
  config.ports = args.all("port");
  const std::vector<std::string> exposed = args.all("expose");
  config.ports.insert(config.ports.end(), exposed.begin(), exposed.end());
  config.volumes = args.all("volume");
  return add_pairs(args, "label", PairValue::kOptional, config.labels);
}

}  // namespace

Result<image::BuildOptions> build_options(const Args& args, const std::optional<std::string>& source_date_epoch,
                                          std::int64_t now_ns) {
  image::BuildOptions options;
  options.directory = args.positional().front();
  const auto tag = args.last("tag");
  if (tag.has_value() == (args.positional().size() > 1))
    return Error(Errc::kInvalidArgument, tag ? "the image is named twice: by --tag and as an argument"
                                             : "the image has no name: give it as an argument, or with --tag");
  options.name = tag ? *tag : args.positional()[1];
  options.from = args.last("from").value_or("");
  RETURN_IF_ERROR(config_flags(args, options.config));
  RETURN_IF_ERROR(add_pairs(args, "annotation", PairValue::kRequired, options.annotations));
  options.message = args.last("message").value_or("");
  if (const auto text = args.last("platform")) {
    ASSIGN_OR_RETURN(options.platform, oci_image::parse_platform(*text));
  }
  ASSIGN_OR_RETURN(options.created_s, created_flag(args, source_date_epoch, now_ns));
  ASSIGN_OR_RETURN(options.owner, owner_flag(args));
  ASSIGN_OR_RETURN(options.compression, compression_flag(args));
  options.excludes = args.all("exclude");
  options.ignore_file = args.last("ignorefile").value_or("");
  RETURN_IF_ERROR(image::Store::check(options));
  return options;
}

Result<int> build_from_dir(const Context& context, const Args& args) {
  const char* epoch = ::secure_getenv("SOURCE_DATE_EPOCH");
  ASSIGN_OR_RETURN(
      image::BuildOptions options,
      build_options(args, epoch == nullptr ? std::nullopt : std::optional<std::string>(epoch), now_unix_ns()));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  ASSIGN_OR_RETURN(const policy::Gate gate, open_gate(context, args.last("signature-policy").value_or("")));
  guard(options, gate);
  ASSIGN_OR_RETURN(StopSignals signals, StopSignals::open());
  const bool quiet = args.enabled("quiet");
  ProgressDisplay progress(quiet);
  options.progress = progress.callback();
  options.skipped = [&](const std::string& path, std::string_view why) {
    progress.clear();
    log::warning(quoted(path) + " is left out: it is " + std::string(why));
  };
  options.cancelled = [&] { return signals.pending(); };
  auto image = store.build(options);
  progress.clear();
  if (!image.ok() && image.error().code() == Errc::kCancelled) die_by_signal(signals.taken());
  if (!image.ok()) return std::move(image).error();
  RETURN_IF_ERROR(print_loaded(context, {*image}, quiet));
  return 0;
}

}  // namespace cooper::cli
