#include "spec/oci_image/machine.h"

#include <string>

#include "spec/oci_image/platform.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace cooper::spec::oci_image {
namespace {

constexpr std::uint32_t bits(auto... numbers) {
  return ((std::uint32_t{1} << static_cast<unsigned>(numbers)) | ...);
}

// Features of each level by their bits, of the psABI's table.
constexpr std::uint32_t kV2Basic = bits(0, 9, 13, 19, 20, 23);     // SSE3 SSSE3 CX16 SSE4.1 SSE4.2 POPCNT
constexpr std::uint32_t kV2Extended = bits(0);                     // LAHF
constexpr std::uint32_t kV3Basic = bits(12, 22, 27, 28, 29);       // FMA MOVBE OSXSAVE AVX F16C
constexpr std::uint32_t kV3Structured = bits(3, 5, 8);             // BMI1 AVX2 BMI2
constexpr std::uint32_t kV3Extended = bits(5);                     // LZCNT
constexpr std::uint32_t kV4Structured = bits(16, 17, 28, 30, 31);  // AVX512 F DQ CD BW VL
constexpr std::uint64_t kV3State = bits(1, 2);                     // SSE AVX
constexpr std::uint64_t kV4State = kV3State | bits(5, 6, 7);       // masks, halves and the upper registers
constexpr std::uint32_t kOsxsave = bits(27);

bool has(std::uint64_t word, std::uint64_t wanted) {
  return (word & wanted) == wanted;
}

#if defined(__x86_64__)
CpuWords ask_processor() {
  CpuWords words;
  std::uint32_t eax = 0;
  std::uint32_t ebx = 0;
  std::uint32_t ecx = 0;
  std::uint32_t edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0) words.basic_ecx = ecx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0) words.structured_ebx = ebx;
  if (__get_cpuid(0x80000001U, &eax, &ebx, &ecx, &edx) != 0) words.extended_ecx = ecx;
  if (has(words.basic_ecx, kOsxsave)) {
    __asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    words.saved_state = (std::uint64_t{edx} << 32U) | eax;
  }
  return words;
}
#endif

}  // namespace

int amd64_level(const CpuWords& words) {
  if (!has(words.basic_ecx, kV2Basic) || !has(words.extended_ecx, kV2Extended)) return 1;
  if (!has(words.basic_ecx, kV3Basic) || !has(words.structured_ebx, kV3Structured) ||
      !has(words.extended_ecx, kV3Extended) || !has(words.saved_state, kV3State))
    return 2;
  return has(words.structured_ebx, kV4Structured) && has(words.saved_state, kV4State) ? 4 : 3;
}

Platform machine_platform() {
  Platform platform = host_platform();
#if defined(__x86_64__)
  if (const int level = amd64_level(ask_processor()); level > 1) platform.variant = "v" + std::to_string(level);
#endif
  return platform;
}

}  // namespace cooper::spec::oci_image
