// Answers of criu, and the wire format below them, as arbitrary bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "codec/protobuf.h"
#include "criu/page_server.h"
#include "criu/rpc.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cooper;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)criu::parse_answer(bytes);
  (void)criu::parse_page_server(bytes);
  // What is read can be written again, and reads the same.
  codec::protobuf::Writer writer;
  codec::protobuf::Reader reader(bytes);
  std::size_t fields = 0;
  while (true) {
    const auto field = reader.next();
    if (!field.ok() || !*field) break;
    if ((*field)->kind == codec::protobuf::Field::Kind::kBytes) {
      writer.bytes((*field)->number, (*field)->bytes);
    } else {
      writer.number((*field)->number, static_cast<std::int64_t>((*field)->value));
    }
    ++fields;
  }
  codec::protobuf::Reader again(writer.text());
  for (; fields > 0; --fields) {
    const auto field = again.next();
    if (!field.ok() || !*field) std::abort();
  }
  const auto end = again.next();
  if (!end.ok() || *end) std::abort();
  return 0;
}
