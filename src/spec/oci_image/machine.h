// What a processor of amd64 says of itself.
#pragma once

#include <cstdint>

namespace cooper::spec::oci_image {

// Registers that cpuid answers with; zero where it has no such leaf.
struct CpuWords {
  std::uint32_t basic_ecx = 0;       // leaf 1
  std::uint32_t structured_ebx = 0;  // leaf 7
  std::uint32_t extended_ecx = 0;    // leaf 0x80000001
  std::uint64_t saved_state = 0;     // XCR0: the registers that the kernel saves
};

// The level of the x86-64 psABI that has nothing the processor, or its kernel, lacks: 1 to 4.
int amd64_level(const CpuWords& words);

}  // namespace cooper::spec::oci_image
