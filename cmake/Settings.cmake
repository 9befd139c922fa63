# Compiler and linker settings every target of the project shares, as two interface targets.

find_program(COOPER_CCACHE ccache)
if(COOPER_CCACHE AND NOT COOPER_COVERAGE)
  set(CMAKE_C_COMPILER_LAUNCHER ${COOPER_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COOPER_CCACHE})
endif()

add_library(cooper_settings INTERFACE)
# -iquote: "sys/mount.h" is ours, <sys/mount.h> stays the system's.
target_compile_options(cooper_settings INTERFACE "SHELL:-iquote ${CMAKE_SOURCE_DIR}/src")
target_compile_definitions(cooper_settings INTERFACE _GNU_SOURCE FMT_HEADER_ONLY=1 COOPER_VERSION="${PROJECT_VERSION}")
target_compile_options(cooper_settings INTERFACE
  -fno-rtti -fvisibility=hidden -fstack-protector-strong -ffunction-sections -fdata-sections -fno-plt)
if(NOT COOPER_SANITIZE AND NOT COOPER_FUZZ)
  target_compile_definitions(cooper_settings INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
endif()
# libstdc++ as a shared object costs more than the rest of a minimal exec (docs/adr/0002), so it is always linked in.
target_link_options(cooper_settings INTERFACE
  $<$<NOT:$<BOOL:$<TARGET_PROPERTY:COOPER_STATIC>>>:-static-libstdc++> $<$<NOT:$<BOOL:$<TARGET_PROPERTY:COOPER_STATIC>>>:-static-libgcc> -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,--as-needed)

# -Wrestrict: false alarms on std::string concatenation at -O2 (g++ 12).
add_library(cooper_warnings INTERFACE)
target_compile_options(cooper_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wold-style-cast -Wnon-virtual-dtor -Woverloaded-virtual>
  $<$<BOOL:${COOPER_WERROR}>:-Werror>)

if(COOPER_SANITIZE)
  # False alarms of g++ 12 where the sanitizers' checks hide that an optional is empty.
  target_compile_options(cooper_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_options(cooper_settings INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(cooper_settings INTERFACE -fsanitize=address,undefined)
endif()
if(COOPER_COVERAGE)
  target_compile_options(cooper_settings INTERFACE --coverage -O0)
  target_link_options(cooper_settings INTERFACE --coverage)
endif()
if(COOPER_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "COOPER_FUZZ needs clang (use the 'fuzz' preset)")
  endif()
  target_compile_options(cooper_settings INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-omit-frame-pointer)
  target_link_options(cooper_settings INTERFACE -fsanitize=address,undefined)
endif()
