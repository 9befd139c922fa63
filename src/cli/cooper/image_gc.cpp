#include "cli/cooper/image_gc.h"

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "cli/cooper/time_text.h"
#include "codec/json.h"

namespace cooper::cli {

constexpr std::array<Flag, 6> kGcFlags = {{
    {"all", 'a', "", "images with a name, too, when no container uses them"},
    {"older", 0, "DURATION",
     "only images that came here longer ago: 90m, 12h, 30d; parts of images that pulls have left, too"},
    {"grace-period", 0, "DURATION",
     "only images that were not used for longer: no container was made of them or removed, and no verb wrote them out"},
    {"keep", 0, "N", "of the images that would go, keep the N that came last"},
    {"dry-run", 0, "", "remove nothing, and tell what would go"},
    {"force", 'f', "", "as without it: nobody is asked"},
}};

namespace {

Result<std::optional<std::int64_t>> moment_before(const Args& args, const std::string& flag, std::int64_t now_unix_ms) {
  const auto text = args.last(flag);
  if (!text) return std::optional<std::int64_t>();
  const auto duration = parse_duration_ns(*text);
  if (duration.ok() && *duration >= 0) return std::optional(now_unix_ms - *duration / 1'000'000);
  return Error(Errc::kInvalidArgument, "--" + flag + ": " + quoted(*text) + " is not a duration")
      .with_hint("90m, 12h or 30d, for example");
}

}  // namespace

Result<image::GcOptions> gc_options(const Args& args, std::int64_t now_unix_ms) {
  image::GcOptions options{.named = args.enabled("all"), .dry_run = args.enabled("dry-run")};
  ASSIGN_OR_RETURN(options.loaded_before_unix_ms, moment_before(args, "older", now_unix_ms));
  ASSIGN_OR_RETURN(options.used_before_unix_ms, moment_before(args, "grace-period", now_unix_ms));
  if (const auto text = args.last("keep")) {
    const auto number = parse_number<std::size_t>(*text);
    if (!number) return Error(Errc::kInvalidArgument, "--keep: " + quoted(*text) + " is not a number");
    options.keep = *number;
  }
  return options;
}

Result<int> image_gc(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const image::GcOptions options, gc_options(args, now_unix_ns() / 1'000'000));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(image::Store store, engine.images());
  ASSIGN_OR_RETURN(const image::Store::Collected collected, store.gc(options));
  if (context.json()) {
    codec::json::Writer out = context.json_writer();
    out.begin_object().field("dry_run", options.dry_run).field("untagged", collected.untagged);
    out.key("deleted").begin_array();
    for (const Digest& id : collected.deleted) out.string(id.str());
    out.end_array().field("freed_bytes", collected.freed_bytes).end_object();
    RETURN_IF_ERROR(print_json(out));
    return 0;
  }
  std::string text;
  for (const std::string& name : collected.untagged)
    text += (options.dry_run ? "Would untag: " : "Untagged: ") + name + "\n";
  for (const Digest& id : collected.deleted)
    text += (options.dry_run ? "Would delete: " : "Deleted: ") + id.str() + "\n";
  text += (options.dry_run ? "would free " : "freed ") + format_bytes(collected.freed_bytes) + "\n";
  RETURN_IF_ERROR(print(text));
  return 0;
}

}  // namespace cooper::cli
