// rkt's canonical form of what an image is fetched from, which it takes on its command line as well:
//
//   cimd:appc:v=0:NAME?LABEL=VALUE&...      percent-encoded; the version is a label
//   cimd:aci-archive:v=0:ADDRESS            percent-encoded; of a web server, or file:///PATH
//   cimd:docker:v=0:REFERENCE               as docker has it, and "registry-1.docker.io" for docker.io
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace cooper::spec::appc {

bool is_cimd(std::string_view text);
// The same in the words of people: "NAME,version=VERSION,LABEL=VALUE" (without any label "NAME,os=linux"), an address,
// "docker://REFERENCE". What comes out is of the kind that was said, whatever the decoded bytes are.
// Errc::kInvalidArgument says what is wrong.
Result<std::string> word_of_cimd(std::string_view text);

}  // namespace cooper::spec::appc
