#include "cli/cooper/image_history.h"

#include <algorithm>

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "cli/cooper/target.h"
#include "cli/cooper/time_text.h"
#include "codec/json.h"
#include "image/store.h"

namespace cooper::cli {

constexpr std::array<Flag, 2> kHistoryFlags = {{
    {"no-trunc", 0, "", "digests, commands and comments in full"},
    {"quiet", 'q', "", "digests of the layers only"},
}};

namespace {

constexpr std::size_t kCommandWidth = 45;
constexpr std::size_t kCommentWidth = 40;

std::string layer_id(const HistoryStep& step, bool full) {
  if (!step.layer) return "-";
  return full ? step.layer->digest.str() : std::string(step.layer->digest.hex().substr(0, 12));
}

std::string age_of(const std::string& created, std::int64_t now_ns) {
  const auto then = parse_rfc3339_ns(created);
  return then && *then > 0 ? print_age((now_ns - *then) / 1'000'000) + " ago" : "-";
}

std::string one_of(const std::string& text, bool full, std::size_t width) {
  if (text.empty()) return "-";
  return full ? text : shorten(text, width);
}

Status print_table(const std::vector<HistoryStep>& steps, bool full) {
  Table table({"LAYER", "CREATED", "CREATED BY", "SIZE", "COMMENT"});
  const std::int64_t now_ns = now_unix_ns();
  for (const HistoryStep& step : steps) {
    table.add(
        {layer_id(step, full), age_of(step.entry.created, now_ns), one_of(step.entry.created_by, full, kCommandWidth),
         step.layer ? format_bytes(step.layer->size_bytes) : "-", one_of(step.entry.comment, full, kCommentWidth)});
  }
  return print(table.text());
}

void write_text(codec::json::Writer& out, std::string_view name, const std::string& text) {
  out.key(name);
  text.empty() ? out.null() : out.string(text);
}

void describe_step(codec::json::Writer& out, const HistoryStep& step) {
  out.begin_object();
  write_text(out, "created", step.entry.created);
  write_text(out, "created_by", step.entry.created_by);
  write_text(out, "comment", step.entry.comment);
  out.field("empty_layer", step.entry.empty_layer);
  out.key("layer");
  step.layer ? out.string(step.layer->digest.str()) : out.null();
  out.key("diff_id");
  step.layer ? out.string(step.layer->diff_id.str()) : out.null();
  out.key("size_bytes");
  step.layer ? out.number(step.layer->size_bytes) : out.null();
  out.key("stored_bytes");
  step.layer ? out.number(step.layer->stored_bytes) : out.null();
  out.end_object();
}

}  // namespace

std::vector<HistoryStep> history_steps(const std::vector<oci_image::History>& history,
                                       const std::vector<image::LayerSize>& layers) {
  std::vector<HistoryStep> steps;
  std::size_t next = 0;
  for (const oci_image::History& entry : history) {
    steps.push_back({.entry = entry});
    if (!entry.empty_layer && next < layers.size()) steps.back().layer = layers[next++];
  }
  for (; next < layers.size(); ++next) steps.push_back({.entry = {}, .layer = layers[next]});
  std::ranges::reverse(steps);
  return steps;
}

Result<int> history(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  ASSIGN_OR_RETURN(const image::Image image, store.find(args.positional().front()));
  ASSIGN_OR_RETURN(const oci_image::ImageConfig config, store.config(image));
  ASSIGN_OR_RETURN(const auto layers, store.layer_sizes(image));
  const std::vector<HistoryStep> steps = history_steps(config.history, layers);
  const bool full = args.enabled("no-trunc");
  if (args.enabled("quiet")) {
    std::string text;
    for (const HistoryStep& step : steps) {
      if (step.layer) text += layer_id(step, full) + "\n";
    }
    RETURN_IF_ERROR(print(text));
    return 0;
  }
  if (!context.json()) {
    RETURN_IF_ERROR(print_table(steps, full));
    return 0;
  }
  codec::json::Writer out = context.json_writer();
  out.begin_object().field("id", image.id.str()).field("names", image.names).key("history").begin_array();
  for (const HistoryStep& step : steps) describe_step(out, step);
  out.end_array().end_object();
  RETURN_IF_ERROR(print_json(out));
  return 0;
}

}  // namespace cooper::cli
