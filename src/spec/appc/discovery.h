// Discovery of images: from a name to the places its bytes, their signature and the keys of their makers are at.
// Whoever owns a domain says so in a web page of it:
//
//   <meta name="ac-discovery" content="example.com/app https://files.example.com/{name}-{version}-{os}-{arch}.{ext}">
//   <meta name="ac-discovery-pubkeys" content="example.com/app https://example.com/pubkeys.gpg">
//
// Pure: who fetches pages is not of interest here. A page is hostile input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "spec/appc/names.h"

namespace cooper::spec::appc {

// Larger pages are refused.
inline constexpr std::size_t kMaxPageBytes = std::size_t{1} << 20;

// The content of a tag.
struct DiscoveryTag {
  std::string prefix;  // of names it is about
  std::string value;   // a template, or the address of keys
  bool operator==(const DiscoveryTag&) const = default;
};
struct DiscoveryPage {
  std::vector<DiscoveryTag> images;
  std::vector<DiscoveryTag> keys;
};
// Reads the head of a page, as far as that goes. What is no such tag is passed over, whatever it is.
DiscoveryPage read_page(std::string_view html);

// "example.com/a/b", "example.com/a", "example.com": where pages may be, the nearest first.
std::vector<std::string> pages_of(std::string_view name);

struct ImagePlace {
  std::string image;
  std::string signature;
};
// Of the tags that are about this name, in the order of the page; those with a variable that has no value are left out.
// Labels that are missing count as version=latest, os=linux and `arch`.
std::vector<ImagePlace> image_places(const DiscoveryPage& page, const ImageName& name, std::string_view arch);
std::vector<std::string> key_places(const DiscoveryPage& page, std::string_view name);

}  // namespace cooper::spec::appc
