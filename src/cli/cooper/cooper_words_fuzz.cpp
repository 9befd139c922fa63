// The words of a command line of cooper, lines of logs and the kernel's texts about processes, as arbitrary bytes.
#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/strings.h"
#include "cli/cooper/apptainer_words.h"
#include "cli/cooper/args.h"
#include "cli/cooper/detach_keys.h"
#include "cli/cooper/format_template.h"
#include "cli/cooper/log_file.h"
#include "cli/cooper/process_list.h"
#include "cli/cooper/run_request.h"
#include "cli/cooper/time_text.h"
#include "cli/cooper/userns_words.h"

namespace {

using namespace cooper::cli;  // NOLINT(google-build-using-namespace)

constexpr std::array kFlags = std::to_array<Flag>({
    {"name", 'n', "NAME", ""},
    {"interactive", 'i', "", ""},
    {"tty", 't', "", ""},
    {"detach", 'd', "", ""},
});

void read_words(const std::string& text) {
  std::vector<std::string> words;
  for (const std::string_view line : cooper::split(text, '\n')) words.emplace_back(line);
  const std::array<std::span<const Flag>, 1> tables{kFlags};
  for (const Order order : {Order::kAnywhere, Order::kBeforeArguments}) {
    if (const auto args = parse_args(tables, words, order); args.ok()) (void)args->enabled("tty");
  }
  (void)parse_field_switch(text);
  (void)check_processors(text, "0-3").ok();
  (void)check_processors("0", text).ok();
  (void)parse_volume(text, "/work").ok();
  (void)parse_binds(text, "/work").ok();
  (void)parse_mount(text, "/work").ok();
  (void)parse_tmpfs(text).ok();
  (void)parse_ulimit(text).ok();
  if (const auto userns = parse_userns(text); userns.ok() && userns->size == 0) std::abort();
  if (const auto mapping = parse_id_mapping("uidmap", text); mapping.ok() && mapping->size == 0) std::abort();
  (void)parse_entrypoint(text).ok();
  if (const auto keys = parse_detach_keys(text); keys.ok()) (void)DetachWatch(*keys).feed(text);
}

void read_template(const std::string& text) {
  static constexpr std::array kFields = std::to_array<TemplateField>({{"ID", ""}, {"Names", "NAMES"}});
  const auto parsed = FormatTemplate::parse(text, kFields);
  std::vector<cooper::codec::json::Document> records;
  auto record = cooper::codec::json::Document::parse(R"({"ID":"x","Names":["a",{"b":null}]})", "record");
  if (!parsed.ok() || !record.ok()) return;
  records.push_back(std::move(*record));
  (void)parsed->text(records, text.size() % 2 == 0);
}

void read_times(std::string_view text) {
  (void)parse_duration_ns(text).ok();
  (void)parse_seconds_ns(text).ok();
  if (const auto wait = parse_timeout_ms("time", text); wait.ok() && *wait < -1) std::abort();
  (void)parse_rfc3339_ns(text);
  (void)parse_moment_ns(text, 1'700'000'000 * kNsPerSecond).ok();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read_words(text);
  read_times(text);
  read_template(text);
  if (const auto record = parse_log_line(text); record && record->text.size() > text.size()) std::abort();
  const std::size_t half = size / 2;
  (void)parse_process(std::string_view(text).substr(0, half), std::string_view(text).substr(half), 4096);
  return 0;
}
