#include "container/child_program.h"

#include <unistd.h>

#include <span>
#include <string_view>

#include "base/strings.h"
#include "sys/file.h"
#include "sys/tables.h"

namespace cooper::container {
namespace {

std::string last_line(BorrowedFd output) {
  std::string text(2048, '\0');
  const off_t size = ::lseek(output.get(), 0, SEEK_END);
  const auto n = sys::pread(output, std::span(text.data(), text.size()), size > 2048 ? size - 2048 : 0);
  if (!n.ok()) return {};
  text.resize(*n);
  std::string_view view = trim(text);
  if (const auto newline = view.rfind('\n'); newline != std::string_view::npos) view = view.substr(newline + 1);
  return std::string(view);
}

}  // namespace

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Status program_result(const sys::ExitStatus& status, BorrowedFd output) {
  if (status.signal == 0 && status.code == 0) return {};
  const std::string how = status.signal != 0 ? "was killed by " + sys::signal_name(status.signal)
                                             : "ended with exit status " + std::to_string(status.code);
  const std::string words = last_line(output);
  return Error(Errc::kSystem, how + (words.empty() ? "" : ", saying " + quoted(words)));
}

}  // namespace cooper::container
