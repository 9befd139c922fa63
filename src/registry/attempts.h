// What becomes of a request that did not bring what was wanted: authorization, another scheme, a pause and another try,
// or an error that says why not. One object for one request of cooper with one registry.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/error.h"
#include "fetch/protocol.h"
#include "registry/backoff.h"
#include "registry/http.h"
#include "registry/registry.h"

namespace cooper::registry {

// A registry with the connections of one worker.
struct Line {
  Registry& registry;
  HttpClient client;
};

// Sends an event of the kind kRetry or kProgress.
using Report = std::function<void(const fetch::Event&)>;

// kLittle: another place has the same. One more try after a short pause, none when nothing came in time, when a longer
// pause is asked for, or when it says that it gets too many requests.
enum class Patience { kAll, kLittle };

// Of Trouble::kClientCertificate. `directory` is where certificates are looked for; `said` is for people.
Error certificate_error(const std::string& who, const std::string& directory, bool have_one, const std::string& said);

class Attempts {
 public:
  Attempts(const fetch::Setup& setup, std::uint32_t id, const Report& report, Patience patience = Patience::kAll);

  // Something came, or went: failures are counted anew.
  void made_progress() {
    backoff_.made_progress();
    // A token that is over by then is no refusal.
    authorizations_ = 0;
    refusals_ = 0;
  }
  // `used` is the authorization that the request carried; `untouched` says that nothing depends on the scheme yet. Ok:
  // the request is to be sent again, now.
  Status after(Line& line, HttpResult& result, const std::string& used, bool untouched);
  // Pauses as long as is right, or `asked_s`; returns `otherwise` when there were tries enough.
  Status wait(const std::string& why, std::optional<std::uint64_t> asked_s, Error otherwise);

 private:
  Status after_answer(Line& line, const HttpResult& result, const std::string& used);
  Status after_trouble(Line& line, HttpResult& result, bool untouched);

  const fetch::Setup& setup_;
  std::uint32_t id_;
  const Report& report_;
  Patience patience_;
  Backoff backoff_;
  int authorizations_ = 0;
  int refusals_ = 0;
};

}  // namespace cooper::registry
