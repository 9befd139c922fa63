// Any bytes as a policy, as what somebody has signed, as a file of registries.d: no crash, and an answer for every
// image.
#include <cstddef>
#include <cstdint>
#include <string>

#include "policy/claim.h"
#include "policy/places.h"
#include "policy/policy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto image = oci_image::qualify(*oci_image::parse_reference("quay.io/team/app:1"), oci_image::kDockerHub);
  if (const auto policy = policy::parse_policy(text, "policy.json"); policy.ok()) {
    const policy::Rule rule = policy::find_rule(*policy, policy::registry_subject(image));
    COOPER_ASSERT(!rule.requirements->empty());
    for (const policy::Requirement& requirement : *rule.requirements) {
      COOPER_ASSERT(!policy::describe(requirement).empty());
      (void)policy::identity_accepts(requirement.identity, image, "quay.io/team/app:1");
    }
  }
  for (const auto kind : {policy::ClaimKind::kSimpleSigning, policy::ClaimKind::kSigstore}) {
    const auto claim = policy::parse_claim(text, kind);
    if (claim.ok()) (void)policy::check_claim(*claim, {}, image, "manifest").ok();
  }
  policy::PlacesConfig places;
  if (policy::add_places(places, text, "a.yaml").ok())
    COOPER_ASSERT(policy::find_places(places, image, "file:///standard").ok());
  return 0;
}
