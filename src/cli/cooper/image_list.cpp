#include "cli/cooper/image_list.h"

#include <fnmatch.h>

#include <algorithm>
#include <memory>
#include <set>
#include <unordered_map>

#include "base/strings.h"
#include "cli/cooper/describe.h"
#include "cli/cooper/image_fields.h"
#include "cli/cooper/output.h"
#include "cli/cooper/time_text.h"
#include "codec/json.h"
#include "log/log.h"
#include "spec/oci_image/reference.h"
#include "sys/heap.h"

namespace cooper::cli {

constexpr std::array<Flag, 12> kLsFlags = {{
    {"all", 'a', "", "as without it: there are no images between the steps of a build"},
    {"quiet", 'q', "", "ids only"},
    {"digests", 0, "", "digests of the manifests, too"},
    {"size", 0, "", "how much of the size other images share, too"},
    {"no-trunc", 0, "", "ids in full"},
    {"full", 0, "", "as --no-trunc"},
    {"noheading", 'n', "", "no line with the names of the columns"},
    {"no-legend", 0, "", "as --noheading"},
    {"fields", 0, "FIELD[,...]", "these columns of id, name, size, importtime and lastused"},
    {"filter", 'f', "KEY=VALUE",
     "dangling=true (images without a name) or false, reference=PATTERN, id=ID, label=KEY[=VALUE], until=TIME, "
     "before=IMAGE, since=IMAGE (after=IMAGE)",
     Flag::Complete::kWords, "dangling=true dangling=false reference= id= label= until= before= since="},
    {"sort", 0, "KEY[,KEY...]",
     "created, id, lastused, loaded (importtime), name or size (default: loaded, the newest first)",
     Flag::Complete::kWords, "created id lastused loaded name size"},
    {"order", 0, "asc|desc", "smallest and oldest first, or last (default: as fits the key)", Flag::Complete::kWords,
     "asc desc"},
}};

namespace {

using image::Image;
using oci_image::Reference;

bool is_pattern(std::string_view text) {
  return text.find_first_of("*?[") != std::string_view::npos;
}

// The name, without its tag, without its registry, or without what docker leaves out.
bool matches(const std::string& pattern, const std::string& name) {
  constexpr std::array<std::string_view, 2> kLeftOut = {"docker.io/library/", "localhost/"};
  std::vector<std::string_view> forms = {name};
  forms.push_back(std::string_view(name).substr(std::min(name.find('/') + 1, name.size())));
  for (const std::string_view prefix : kLeftOut) {
    if (name.starts_with(prefix)) forms.push_back(std::string_view(name).substr(prefix.size()));
  }
  return std::ranges::any_of(forms, [&](std::string_view form) {
    const std::string whole(form);
    const std::string repository(split_name(form).first);
    return ::fnmatch(pattern.c_str(), whole.c_str(), FNM_PATHNAME) == 0 ||
           ::fnmatch(pattern.c_str(), repository.c_str(), FNM_PATHNAME) == 0;
  });
}

Result<std::vector<Reference>> candidates_of(const std::string& text) {
  ASSIGN_OR_RETURN(const Reference wanted, oci_image::parse_reference(text));
  if (wanted.digest)
    return Error(Errc::kInvalidArgument, "name " + quoted(text) + " has a digest").with_hint("cooper image inspect");
  return oci_image::candidates(wanted);
}

bool is_meant(const std::vector<Reference>& candidates, bool any_tag, const std::string& name) {
  const auto stored = oci_image::parse_reference(name);
  return stored.ok() && std::ranges::any_of(candidates, [&](const Reference& one) {
           return (any_tag || stored->tag == one.tag) && one.registry == stored->registry &&
                  one.repository == stored->repository;
         });
}

void keep_names(std::vector<Image>& images, const auto& meant) {
  for (Image& image : images) {
    std::erase_if(image.names, [&](const std::string& name) { return !meant(name); });
    std::erase_if(image.digest_names, [&](const std::string& name) { return !meant(repository_of(name)); });
  }
  std::erase_if(images, is_nameless);
}

std::string short_id(const Digest& digest) {
  return std::string(digest.hex().substr(0, 12));
}

struct ListWords {
  std::string sort, order;
  std::optional<FormatTemplate> format = {};
  bool full = false;
  bool heading = true;
};

std::string print_table(const std::vector<Image>& images, const std::map<Digest, SizeShare>* shares, const Args& args,
                        const ListWords& words) {
  const bool digests = args.enabled("digests");
  std::vector<std::string> header = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
  if (digests) header.insert(header.begin() + 2, "DIGEST");
  if (shares != nullptr) header.insert(header.end(), {"SHARED SIZE", "UNIQUE SIZE"});
  Table table(header);
  const std::int64_t now_ns = now_unix_ns();
  std::vector<std::string> row;
  for (const Image& image : images) {
    const auto created = parse_rfc3339_ns(image.created);
    const std::string age = created && *created > 0 ? print_age((now_ns - *created) / 1'000'000) + " ago" : "-";
    const std::string id = words.full ? image.id.str() : short_id(image.id);
    const std::string size = format_bytes(image.size_bytes);
    const std::vector<std::string> others = image.names.empty() ? in_place_of_names(image) : std::vector<std::string>();
    for (const std::string& name : image.names.empty() ? others : image.names) {
      const auto [repository, tag] = split_name(name);
      row.clear();
      row.emplace_back(repository);
      row.emplace_back(tag);
      if (digests) row.push_back(image.manifest_digest.str());
      row.insert(row.end(), {id, age, size});
      if (shares != nullptr) {
        const auto share = shares->find(image.id);
        const bool known = share != shares->end();
        row.push_back(known ? format_bytes(share->second.shared_bytes) : "-");
        row.push_back(known ? format_bytes(share->second.unique_bytes) : "-");
      }
      table.add(row);
    }
  }
  return table.text(words.heading);
}

Status print_ids(const Context& context, const std::vector<Image>& images) {
  codec::json::Writer out = context.json_writer();
  out.begin_object().key("images").begin_array();
  for (const Image& image : images) out.begin_object().field("id", image.id.str()).end_object();
  out.end_array().end_object();
  return print_json(out);
}

Status print_records(const Context& context, const std::vector<Image>& images,
                     const std::map<Digest, SizeShare>* shares) {
  codec::json::Writer out = context.json_writer();
  out.begin_object().key("images").begin_array();
  for (const Image& image : images) describe_image(out, image);
  out.end_array();
  if (shares != nullptr) {
    out.key("sizes").begin_array();
    for (const Image& image : images) {
      const auto share = shares->find(image.id);
      if (share == shares->end()) continue;
      out.begin_object().field("id", image.id.str()).field("shared_bytes", share->second.shared_bytes);
      out.field("unique_bytes", share->second.unique_bytes).end_object();
    }
    out.end_array();
  }
  out.end_object();
  return print_json(out);
}

}  // namespace

Status keep_named(std::vector<Image>& images, const std::string& text) {
  if (is_pattern(text)) {
    keep_names(images, [&](const std::string& name) { return matches(text, name); });
    return {};
  }
  ASSIGN_OR_RETURN(const auto candidates, candidates_of(text));
  ASSIGN_OR_RETURN(const Reference wanted, oci_image::parse_reference(text));
  keep_names(images, [&](const std::string& name) { return is_meant(candidates, wanted.tag.empty(), name); });
  return {};
}

namespace {

// When an image that a filter names was created, or the time it says; none: nobody knows.
Result<std::optional<std::int64_t>> moment_of(const std::vector<Image>& all, std::string_view key,
                                              const std::string& text) {
  if (key == "until") {
    auto moment = parse_moment_ns(text, now_unix_ns());
    if (!moment.ok()) return Error(Errc::kInvalidArgument, "filter until: " + moment.error().message());
    return std::optional(*moment);
  }
  std::vector<Image> named = all;
  const Status read = keep_named(named, text);
  if (!read.ok() || named.empty()) {
    named = all;
    std::erase_if(named, [&](const Image& image) { return !image.id.hex().starts_with(text); });
  }
  // Of no images at all only the words are looked at.
  if (all.empty()) return std::optional<std::int64_t>();
  if (named.size() == 1) return parse_rfc3339_ns(named.front().created);
  return Error(named.empty() ? Errc::kNotFound : Errc::kInvalidArgument,
               "filter " + std::string(key) + ": image " + quoted(text) +
                   (named.empty() ? " is not in the store" : " may be several"));
}

}  // namespace

Status filter_images(std::vector<Image>& images, const std::vector<std::string>& filters, const LabelsOf& labels_of) {
  const std::vector<Image> all = filters.empty() ? std::vector<Image>() : images;
  std::vector<std::string> references;
  for (const std::string& filter : filters) {
    const auto pair = split_once(filter, '=');
    if (!pair) return Error(Errc::kInvalidArgument, "filter " + quoted(filter) + " is not of the form KEY=VALUE");
    const auto [key, value] = *pair;
    if (key == "reference") {
      references.emplace_back(value);
    } else if (key == "dangling" && (value == "true" || value == "false")) {
      std::erase_if(images,
                    [nameless = value == "true"](const Image& image) { return is_nameless(image) != nameless; });
    } else if (key == "id") {
      std::string_view digits = value;
      if (digits.starts_with("sha256:")) digits.remove_prefix(std::string_view("sha256:").size());
      std::erase_if(images, [&](const Image& image) { return !image.id.hex().starts_with(digits); });
    } else if (key == "label") {
      const auto wanted = split_once(value, '=');
      const std::string name(wanted ? wanted->first : value);
      std::erase_if(images, [&](const Image& image) {
        const auto labels = labels_of(image);
        const auto label = labels.find(name);
        return label == labels.end() || (wanted && label->second != wanted->second);
      });
    } else if (key == "until" || key == "before" || key == "since" || key == "after") {
      ASSIGN_OR_RETURN(const auto moment, moment_of(all, key, std::string(value)));
      std::erase_if(images, [&](const Image& image) {
        const auto created = parse_rfc3339_ns(image.created);
        return !created || !moment || (key == "since" || key == "after" ? *created <= *moment : *created >= *moment);
      });
    } else {
      return Error(Errc::kInvalidArgument, "unknown filter " + quoted(filter))
          .with_hint(
              "dangling=true, dangling=false, reference=PATTERN, id=ID, label=KEY[=VALUE], until=TIME, before=IMAGE or "
              "since=IMAGE");
    }
  }
  if (references.empty()) return {};
  std::vector<Image> kept;
  std::set<Digest> seen;
  for (const std::string& reference : references) {
    std::vector<Image> some = images;
    RETURN_IF_ERROR(keep_named(some, reference));
    for (Image& image : some) {
      if (seen.insert(image.id).second) {
        kept.push_back(std::move(image));
        continue;
      }
      std::vector<std::string>& names = std::ranges::find(kept, image.id, &Image::id)->names;
      for (std::string& name : image.names) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
      }
      std::ranges::sort(names);
    }
  }
  images = std::move(kept);
  return {};
}

namespace {

Status sort_by(std::vector<Image>& images, std::string_view key) {
  const auto by = [&](const auto& key_of) {
    std::vector<std::pair<decltype(key_of(images.front())), std::size_t>> order;
    order.reserve(images.size());
    for (std::size_t i = 0; i < images.size(); ++i) order.emplace_back(key_of(images[i]), i);
    // What is equal stays in the order of the ids, in which a store lists its images.
    std::ranges::sort(order);
    std::vector<Image> sorted;
    sorted.reserve(images.size());
    for (const auto& [value, index] : order) sorted.push_back(std::move(images[index]));
    images = std::move(sorted);
  };
  if (key == "loaded" || key == "importtime") {
    by([](const Image& image) { return -image.loaded_unix_ms; });
  } else if (key == "lastused") {
    by([](const Image& image) { return -image.last_used_unix_ms; });
  } else if (key == "created") {
    by([](const Image& image) { return -parse_rfc3339_ns(image.created).value_or(0); });
  } else if (key == "size") {
    by([](const Image& image) { return ~image.size_bytes; });
  } else if (key == "id") {
    by([](const Image& image) { return std::string_view(image.id.str()); });
  } else if (key == "name") {
    by([](const Image& image) { return image.names.empty() ? in_place_of_names(image).front() : image.names.front(); });
  } else {
    return Error(Errc::kInvalidArgument, "images cannot be sorted by " + quoted(key))
        .with_hint("created, id, lastused, loaded, name or size");
  }
  return {};
}

}  // namespace

Status sort_images(std::vector<Image>& images, const std::string& keys, const std::string& order) {
  if (!order.empty() && order != "asc" && order != "desc")
    return Error(Errc::kInvalidArgument, "--order: " + quoted(order) + " is neither asc nor desc");
  // The first counts most, so it sorts last.
  auto words = split(keys, ',');
  std::ranges::reverse(words);
  for (const std::string_view key : words) RETURN_IF_ERROR(sort_by(images, key));
  const bool ascending = words.back() == "id" || words.back() == "name";
  if (!order.empty() && (order == "asc") != ascending) std::ranges::reverse(images);
  return {};
}

std::map<Digest, SizeShare> size_shares(const std::vector<Image>& all) {
  std::unordered_map<std::string_view, std::size_t> owners;
  const auto distinct = [](const Image& image) {
    std::set<std::string_view> layers;
    for (const Digest& layer : image.layers) layers.insert(layer.str());
    return layers;
  };
  for (const Image& image : all) {
    for (const std::string_view layer : distinct(image)) ++owners[layer];
  }
  std::map<Digest, SizeShare> out;
  for (const Image& image : all) {
    if (image.layer_bytes.size() != image.layers.size()) continue;
    SizeShare share;
    for (std::size_t i = 0; i < image.layers.size(); ++i) {
      std::uint64_t& bytes = owners[image.layers[i].str()] > 1 ? share.shared_bytes : share.unique_bytes;
      bytes += image.layer_bytes[i];
    }
    out.emplace(image.id, share);
  }
  return out;
}

namespace {

// Of an image whose configuration cannot be read nobody knows them: other images are listed all the same.
std::map<std::string, std::string> labels_of(const image::Store& store, const Image& image) {
  auto config = store.config(image);
  if (!config.ok()) {
    log::warning("labels of image " + short_id(image.id) + ": " + config.error().message());
    return {};
  }
  return std::move(config->labels);
}

// What is wrong with the words is said before anything is opened.
Result<ListWords> list_words(const Args& args) {
  ListWords out{.sort = args.last("sort").value_or("loaded"), .order = args.last("order").value_or("")};
  std::vector<Image> none;
  RETURN_IF_ERROR(sort_images(none, out.sort, out.order));
  RETURN_IF_ERROR(filter_images(none, args.all("filter"), {}));
  if (!args.positional().empty()) RETURN_IF_ERROR(keep_named(none, args.positional().front()));
  out.full = args.enabled("no-trunc") || args.enabled("full");
  out.heading = !args.enabled("noheading") && !args.enabled("no-legend");
  ASSIGN_OR_RETURN(out.format, FormatTemplate::of(args, list_fields()));
  if (const auto fields = args.last("fields")) {
    if (args.has("format"))
      return Error(Errc::kInvalidArgument, "--fields and --format say the same in other words: give one of them");
    ASSIGN_OR_RETURN(const std::string text, template_of_fields(*fields));
    ASSIGN_OR_RETURN(out.format, FormatTemplate::parse(text, list_fields()));
  }
  if (out.format && args.enabled("quiet"))
    return Error(Errc::kInvalidArgument, "--quiet and a template contradict each other");
  return out;
}

Status print_list(const Context& context, const Args& args, const ListWords& words, const std::vector<Image>& images,
                  const std::map<Digest, SizeShare>* shares) {
  if (words.format) {
    ASSIGN_OR_RETURN(const auto records, list_records(images, words.full));
    return print(words.format->text(records, words.heading));
  }
  if (args.enabled("quiet")) {
    if (context.json()) return print_ids(context, images);
    std::string text;
    for (const Image& image : images) text += (words.full ? image.id.str() : short_id(image.id)) + "\n";
    return print(text);
  }
  if (context.json()) return print_records(context, images, shares);
  return print(print_table(images, shares, args, words));
}

}  // namespace

Result<int> list_images(const Context& context, const Args& args) {
  ASSIGN_OR_RETURN(const ListWords words, list_words(args));
  ASSIGN_OR_RETURN(const pod::Engine engine, context.engine());
  ASSIGN_OR_RETURN(const image::Store store, engine.images());
  const bool sizes = args.enabled("size");
  const bool layers = sizes || context.json();
  if (const std::size_t bytes = store.list_memory_bytes(); bytes != 0) sys::reserve_heap(bytes);
  ASSIGN_OR_RETURN(auto listed, store.list(layers ? image::Store::Detail::kAll : image::Store::Detail::kNames));
  // Never freed: the program ends, and giving back ten thousand records piece by piece is a tenth of its time.
  static std::vector<Image>* kept = nullptr;
  kept = std::make_unique<std::vector<Image>>(std::move(listed)).release();
  std::vector<Image>& images = *kept;
  std::map<Digest, SizeShare> shares;
  if (sizes) shares = size_shares(images);
  if (!args.positional().empty()) RETURN_IF_ERROR(keep_named(images, args.positional().front()));
  RETURN_IF_ERROR(
      filter_images(images, args.all("filter"), [&](const Image& image) { return labels_of(store, image); }));
  const auto sorted_by = split(words.sort, ',');
  if (words.format || context.json() || std::ranges::find(sorted_by, "lastused") != sorted_by.end())
    store.find_last_uses(images);
  RETURN_IF_ERROR(sort_images(images, words.sort, words.order));
  RETURN_IF_ERROR(print_list(context, args, words, images, sizes ? &shares : nullptr));
  return 0;
}

}  // namespace cooper::cli
