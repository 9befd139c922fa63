// Where the fields of the 512-byte header block of tar lie (POSIX ustar, and what GNU has in their place), and the
// letters of its types. One layout for who reads it and who writes it.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "codec/tar.h"

namespace cooper::codec::tar {

inline constexpr std::size_t kBlock = 512;

struct Field {
  std::size_t at;
  std::size_t size;
};
inline constexpr Field kName{0, 100};
inline constexpr Field kMode{100, 8};
inline constexpr Field kUid{108, 8};
inline constexpr Field kGid{116, 8};
inline constexpr Field kSize{124, 12};
inline constexpr Field kMtime{136, 12};
inline constexpr Field kChecksum{148, 8};
inline constexpr std::size_t kType = 156;
inline constexpr Field kLinkName{157, 100};
inline constexpr Field kMagic{257, 8};
inline constexpr Field kDeviceMajor{329, 8};
inline constexpr Field kDeviceMinor{337, 8};
inline constexpr Field kPrefix{345, 155};

// With the version; readers of ustar look at the magic alone.
inline constexpr std::string_view kUstarMark(
    "ustar\0"
    "00",
    8);
inline constexpr std::string_view kUstarMagic = kUstarMark.substr(0, 6);
inline constexpr std::string_view kGnuMagic("ustar  \0", 8);

// GNU's sparse files: offsets and sizes in turn, in the header and in the blocks that continue it.
inline constexpr std::size_t kGnuSparse = 386;
inline constexpr std::size_t kGnuSparseCount = 4;
inline constexpr std::size_t kGnuContinues = 482;
inline constexpr Field kGnuRealSize{483, 12};
inline constexpr std::size_t kContinuationCount = 21;
inline constexpr std::size_t kContinuationContinues = 504;
inline constexpr std::size_t kSparseNumber = 12;

struct TypeLetter {
  EntryType type;
  char letter;
};
inline constexpr std::array<TypeLetter, 7> kTypeLetters{{
    {EntryType::kFile, '0'},
    {EntryType::kHardLink, '1'},
    {EntryType::kSymlink, '2'},
    {EntryType::kCharDevice, '3'},
    {EntryType::kBlockDevice, '4'},
    {EntryType::kDirectory, '5'},
    {EntryType::kFifo, '6'},
}};
// Read as files, never written.
inline constexpr char kContiguousFile = '7';
inline constexpr char kGnuSparseFile = 'S';

}  // namespace cooper::codec::tar
