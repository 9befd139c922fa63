#include "cli/cooper/describe.h"

#include "base/strings.h"
#include "cli/cooper/image_fields.h"
#include "cli/cooper/target.h"
#include "spec/oci_runtime/print.h"

namespace cooper::cli {
namespace {

using codec::json::Writer;

void write_map(Writer& out, std::string_view name, const std::map<std::string, std::string>& map) {
  out.key(name).begin_object();
  for (const auto& [key, value] : map) out.field(key, value);
  out.end_object();
}

void write_optional_text(Writer& out, std::string_view name, const std::string& text) {
  out.key(name);
  text.empty() ? out.null() : out.string(text);
}

void write_optional_ms(Writer& out, std::string_view name, std::int64_t ms) {
  out.key(name);
  ms == 0 ? out.null() : out.number(ms);
}

void write_exit(Writer& out, const std::optional<monitor::ExitRecord>& exit) {
  out.key("exit");
  if (!exit) {
    out.null();
    return;
  }
  out.begin_object().key("code");
  exit->unknown ? out.null() : out.number(exit->exit_code);
  out.key("signal");
  exit->signal == 0 ? out.null() : out.number(exit->signal);
  out.field("oom_killed", exit->oom_killed).field("core_dumped", exit->core_dumped);
  write_optional_ms(out, "finished_unix_ms", exit->finished_unix_ms);
  write_optional_text(out, "error", exit->error);
  write_optional_text(out, "post_stop_error", exit->post_stop_error);
  out.end_object();
}

void write_app(Writer& out, const pod::AppInfo& app) {
  out.field("state", app.state).field("image", app.image).field("image_id", app.image_id).field("command", app.args);
  out.key("pid");
  app.pid == 0 ? out.null() : out.number(app.pid);
  out.field("terminal", app.terminal);
  write_exit(out, app.exit);
}

void write_row(Writer& out, const Row& row) {
  out.field("id", row.pod->uuid.str()).field("name", row.name());
  write_optional_text(out, "pod",
                      row.pod->single         ? std::string()
                      : row.pod->name.empty() ? row.pod->uuid.str()
                                              : row.pod->name);
  out.field("app", row.app->name);
  write_app(out, *row.app);
  out.field("created_unix_ms", row.pod->created_unix_ms);
  write_optional_ms(out, "started_unix_ms", row.pod->started_unix_ms);
  out.field("network", row.pod->network).field("hostname", row.pod->hostname);
  write_map(out, "labels", row.pod->labels);
}

// ps's record, and what only a look into the container's own files tells.
Status inspect_row(Writer& out, const pod::Engine& engine, const Row& row) {
  out.begin_object();
  write_row(out, row);
  write_map(out, "annotations", row.pod->annotations);
  auto logs = engine.log_files(row.pod->uuid, row.app->name);
  out.field("log_files", logs.ok() ? *logs : std::vector<std::string>());
  out.key("config");
  const auto config = engine.app_config(row.pod->uuid, row.app->name);
  if (config.ok()) {
    ASSIGN_OR_RETURN(const auto document,
                     codec::json::Document::parse(oci::print_config(*config, oci::Style::kCompact), "config"));
    out.value(document.root());
  } else {
    out.null();
  }
  out.end_object();
  return {};
}

Status inspect_pod(Writer& out, const pod::Engine& engine, std::string_view text, const PodUuid& uuid,
                   std::string_view app) {
  ASSIGN_OR_RETURN(const pod::PodInfo info, engine.info(uuid));
  if (!app.empty()) {
    ASSIGN_OR_RETURN(const pod::AppInfo* one, select_app(info, app));
    return inspect_row(out, engine, Row{&info, one});
  }
  for (const pod::AppInfo& one : info.apps) {
    auto written = inspect_row(out, engine, Row{&info, &one});
    if (!written.ok()) return std::move(written).error().with(text);
  }
  return {};
}

void write_aci(Writer& out, const image::Aci& aci) {
  out.key("aci").begin_object().field("name", aci.name).key("labels").begin_object();
  for (const appc::NameValue& label : aci.labels) out.field(label.name, label.value);
  out.end_object().field("manifest_digest", aci.manifest.str()).key("dependencies").begin_array();
  for (const Digest& id : aci.dependencies) out.string(id.str());
  out.end_array().end_object();
}

Status inspect_image(Writer& out, const image::Store& store, image::Image image) {
  store.find_last_uses(std::span(&image, 1));
  out.begin_object();
  out.field("id", image.id.str()).field("manifest_digest", image.manifest_digest.str()).field("names", image.names);
  if (!image.digest_names.empty()) out.field("digest_names", image.digest_names);
  if (image.aci) write_aci(out, *image.aci);
  write_optional_text(out, "created", image.created);
  out.field("size_bytes", image.size_bytes).field("loaded_unix_ms", image.loaded_unix_ms);
  out.field("last_used_unix_ms", image.last_used_unix_ms);
  ASSIGN_OR_RETURN(std::string bytes, store.config_bytes(image));
  ASSIGN_OR_RETURN(const auto config, codec::json::Document::parse(std::move(bytes), "image config"));
  out.key("config").value(config.root());
  out.end_object();
  return {};
}

}  // namespace

void describe_row(Writer& out, const Row& row) {
  out.begin_object();
  write_row(out, row);
  out.end_object();
}

void describe_pod(Writer& out, const pod::PodInfo& pod) {
  out.begin_object().field("id", pod.uuid.str());
  write_optional_text(out, "name", pod.name);
  out.field("state", pod::to_string(pod.state)).field("network", pod.network).field("hostname", pod.hostname);
  out.field("created_unix_ms", pod.created_unix_ms);
  write_optional_ms(out, "started_unix_ms", pod.started_unix_ms);
  out.key("apps").begin_array();
  for (const pod::AppInfo& app : pod.apps) {
    out.begin_object().field("name", app.name);
    write_app(out, app);
    out.end_object();
  }
  out.end_array();
  write_map(out, "labels", pod.labels);
  write_map(out, "annotations", pod.annotations);
  out.end_object();
}

void describe_image(Writer& out, const image::Image& image) {
  out.begin_object();
  out.field("id", image.id.str()).field("manifest_digest", image.manifest_digest.str()).field("names", image.names);
  write_optional_text(out, "created", image.created);
  out.field("size_bytes", image.size_bytes).field("loaded_unix_ms", image.loaded_unix_ms);
  if (image.last_used_unix_ms != 0) out.field("last_used_unix_ms", image.last_used_unix_ms);
  out.key("layers").begin_array();
  for (const Digest& layer : image.layers) out.string(layer.str());
  out.end_array().end_object();
}

Status print_image(const Context& context, const image::Image& image, const std::string& directory) {
  Writer out = context.json_writer();
  out.begin_object().key("image");
  describe_image(out, image);
  if (!directory.empty()) out.field("directory", directory);
  out.end_object();
  return print_json(out);
}

namespace {

Result<int> print_by_template(const Context& context, const image::Store& store, const Args& args,
                              const FormatTemplate& format) {
  int status = 0;
  for (const std::string& text : args.positional()) {
    auto image = store.find(text);
    auto record = image.ok() ? inspect_record(store, *image) : Result<codec::json::Document>(std::move(image).error());
    if (record.ok()) {
      RETURN_IF_ERROR(print(format.ended_line(record->root())));
      continue;
    }
    report(context, record.error());
    status = kExitFailure;
  }
  return status;
}

}  // namespace

Result<int> inspect_images(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const auto format, FormatTemplate::of(args, inspect_fields()));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  if (format) return print_by_template(context, store, args, *format);
  Writer out(Writer::Style::kPretty);
  out.begin_object().key("images").begin_array();
  int status = 0;
  bool any = false;
  for (const std::string& text : args.positional()) {
    const auto image = store.find(text);
    if (image.ok()) {
      RETURN_IF_ERROR(inspect_image(out, store, *image));
      any = true;
      continue;
    }
    report(context, image.error());
    status = kExitFailure;
  }
  out.end_array().end_object();
  if (any) RETURN_IF_ERROR(print_json(out));
  return status;
}

Result<int> inspect(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  Writer containers(Writer::Style::kPretty);
  std::vector<image::Image> images;
  containers.begin_object().key("containers").begin_array();
  int status = 0;
  for (const std::string& text : args.positional()) {
    auto target = find_target(engine, text);
    if (target.ok()) {
      RETURN_IF_ERROR(inspect_pod(containers, engine, text, target->uuid, target->app));
      continue;
    }
    auto image = store.find(text);
    if (image.ok()) {
      images.push_back(std::move(image).value());
      continue;
    }
    const bool unknown = target.error().code() == Errc::kNotFound;
    report(context, unknown ? Error(Errc::kNotFound, "there is no container and no image " + quoted(text))
                            : std::move(target).error());
    status = kExitFailure;
  }
  containers.end_array().key("images").begin_array();
  for (const image::Image& image : images) RETURN_IF_ERROR(inspect_image(containers, store, image));
  containers.end_array().end_object();
  RETURN_IF_ERROR(print_json(containers));
  return status;
}

}  // namespace cooper::cli
