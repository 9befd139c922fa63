#include "cli/cooper/image_usage.h"

#include "base/strings.h"
#include "cli/cooper/output.h"
#include "cli/cooper/target.h"
#include "codec/json.h"

namespace cooper::cli {

constexpr std::array<Flag, 1> kTreeFlags = {{{"no-trunc", 0, "", "digests in full"}}};

namespace {

using codec::json::Writer;
using image::Image;
using Amount = image::StoreUsage::Amount;

std::string short_digest(const Digest& digest, bool full) {
  return full ? digest.str() : std::string(digest.hex().substr(0, 12));
}

std::string shown_name(const Image& image) {
  return image.names.empty() ? "<none> " + short_digest(image.id, false) : image.names.front();
}

std::string list_of(const std::vector<const Image*>& images) {
  std::vector<std::string> names;
  for (const Image* image : images) names.push_back(shown_name(*image));
  return join(names, ", ");
}

void describe_others(Writer& out, std::string_view key, const std::vector<const Image*>& images) {
  out.key(key).begin_array();
  for (const Image* image : images)
    out.begin_object().field("id", image->id.str()).field("names", image->names).end_object();
  out.end_array();
}

void describe_tree(Writer& out, const ImageTree& tree) {
  out.begin_object().field("id", tree.shown->id.str()).field("names", tree.shown->names);
  out.field("size_bytes", tree.shown->size_bytes).field("tree", tree.shown->chain);
  describe_others(out, "tree_shared_with", tree.others);
  out.key("layers").begin_array();
  for (const SharedLayer& layer : tree.layers) {
    out.begin_object().field("digest", layer.size.digest.str()).field("diff_id", layer.size.diff_id.str());
    out.field("size_bytes", layer.size.size_bytes).field("stored_bytes", layer.size.stored_bytes);
    describe_others(out, "shared_with", layer.others);
    out.end_object();
  }
  out.end_array().end_object();
}

void describe_amount(Writer& out, std::string_view key, const Amount& amount) {
  out.key(key).begin_object().field("count", amount.count).field("size_bytes", amount.bytes);
  out.field("reclaimable_bytes", amount.reclaimable_bytes).end_object();
}

void describe_used(Writer& out, std::string_view key, const Amount& amount) {
  out.key(key).begin_object().field("count", amount.count).field("in_use", amount.in_use);
  out.field("size_bytes", amount.bytes).field("reclaimable_bytes", amount.reclaimable_bytes).end_object();
}

void describe_usage(Writer& out, const image::StoreUsage& usage) {
  out.begin_object().key("images").begin_object();
  out.field("count", usage.images.count).field("in_use", usage.images.in_use).end_object();
  out.key("blobs").begin_object();
  describe_amount(out, "unique", usage.unique_blobs);
  describe_amount(out, "shared", usage.shared_blobs);
  describe_amount(out, "unreferenced", usage.stray_blobs);
  out.end_object();
  describe_used(out, "trees", usage.trees);
  describe_used(out, "unfinished", usage.unfinished);
  out.field("size_bytes", usage.images.bytes).field("reclaimable_bytes", usage.images.reclaimable_bytes).end_object();
}

Result<std::vector<Image>> chosen(const image::Store& store, const Args& args, const std::vector<Image>& all) {
  if (args.positional().empty()) return all;
  std::vector<Image> out;
  for (const std::string& text : args.positional()) {
    ASSIGN_OR_RETURN(Image image, store.find(text));
    out.push_back(std::move(image));
  }
  return out;
}

}  // namespace

Sharing sharing_of(const std::vector<Image>& all) {
  Sharing out;
  for (const Image& image : all) {
    out.trees[image.chain].push_back(&image);
    for (const Digest& layer : image.layers) {
      auto& images = out.layers[layer];
      // One layer may be in an image several times.
      if (images.empty() || images.back() != &image) images.push_back(&image);
    }
  }
  return out;
}

ImageTree image_tree(const Image& image, const std::vector<image::LayerSize>& sizes, const Sharing& sharing) {
  const auto others = [&](const auto& map, const auto& key) {
    std::vector<const Image*> out;
    const auto found = map.find(key);
    if (found == map.end()) return out;
    for (const Image* one : found->second) {
      if (one->id != image.id) out.push_back(one);
    }
    return out;
  };
  ImageTree tree{.shown = &image, .layers = {}, .others = others(sharing.trees, image.chain)};
  for (const image::LayerSize& size : sizes)
    tree.layers.push_back({.size = size, .others = others(sharing.layers, size.digest)});
  return tree;
}

std::string print_tree(const ImageTree& tree, bool full) {
  const Image& image = *tree.shown;
  std::string text = shown_name(image);
  for (std::size_t i = 1; i < image.names.size(); ++i) text += ", " + image.names[i];
  text += "  " + short_digest(image.id, full) + "  " + format_bytes(image.size_bytes) + "\n";
  for (std::size_t i = 0; i < tree.layers.size(); ++i) {
    const SharedLayer& layer = tree.layers[i];
    text += i + 1 == tree.layers.size() ? "└─ " : "├─ ";
    text += short_digest(layer.size.digest, full) + "  " + format_bytes(layer.size.size_bytes);
    if (!layer.others.empty()) text += "  also in " + list_of(layer.others);
    text += "\n";
  }
  if (!tree.others.empty()) text += "   one unpacked tree with " + list_of(tree.others) + "\n";
  return text;
}

std::string print_usage(const image::StoreUsage& usage) {
  Table table({"TYPE", "COUNT", "IN USE", "SIZE", "RECLAIMABLE"});
  const auto add = [&](const char* type, const Amount& amount, bool used) {
    table.add({type, std::to_string(amount.count), used ? std::to_string(amount.in_use) : "-",
               format_bytes(amount.bytes), format_bytes(amount.reclaimable_bytes)});
  };
  add("Images", usage.images, true);
  add("  blobs of one image", usage.unique_blobs, false);
  add("  blobs of several", usage.shared_blobs, false);
  add("  blobs of none", usage.stray_blobs, false);
  add("  unpacked trees", usage.trees, true);
  add("  unfinished work", usage.unfinished, true);
  return table.text();
}

Result<int> tree(const Context& context, const Args& args) {
  RETURN_IF_ERROR(check_images(args.positional()));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  ASSIGN_OR_RETURN(const auto all, store.list());
  ASSIGN_OR_RETURN(const auto images, chosen(store, args, all));
  const Sharing sharing = sharing_of(all);
  Writer out = context.json_writer();
  out.begin_object().key("images").begin_array();
  std::string text;
  for (const Image& image : images) {
    ASSIGN_OR_RETURN(const auto sizes, store.layer_sizes(image));
    const ImageTree one = image_tree(image, sizes, sharing);
    if (context.json()) {
      describe_tree(out, one);
    } else {
      text += print_tree(one, args.enabled("no-trunc"));
    }
  }
  out.end_array().end_object();
  RETURN_IF_ERROR(context.json() ? print_json(out) : print(text));
  return 0;
}

Result<int> df(const Context& context, const Args&) {
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  ASSIGN_OR_RETURN(const image::StoreUsage usage, store.usage());
  if (!context.json()) {
    RETURN_IF_ERROR(print(print_usage(usage)));
    return 0;
  }
  Writer out = context.json_writer();
  describe_usage(out, usage);
  RETURN_IF_ERROR(print_json(out));
  return 0;
}

}  // namespace cooper::cli
