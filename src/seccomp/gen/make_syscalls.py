#!/usr/bin/env python3
"""Writes internal/syscalls.inc: every system call name with its number on each architecture this engine compiles filters for.

Development tool, not part of the build. Needs libseccomp-dev, linux-libc-dev, linux-libc-dev-arm64-cross and
linux-libc-dev-armhf-cross (Debian). Kernel headers win over libseccomp's tables; ADDED lists what is newer than both.

    src/seccomp/gen/make_syscalls.py > src/seccomp/internal/syscalls.inc
"""
import ctypes
import re
import subprocess
import sys

# name: (audit architecture token of libseccomp, header, preprocessor flags)
ARCHES = {
    "x86_64": (0xC000003E, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", []),
    "x86": (0x40000003, "/usr/include/x86_64-linux-gnu/asm/unistd_32.h", []),
    "x32": (0x4000003E, "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h", ["-D__X32_SYSCALL_BIT=0"]),
    "arm": (0x40000028, "/usr/arm-linux-gnueabihf/include/asm/unistd.h",
            ["-nostdinc", "-I/usr/arm-linux-gnueabihf/include", "-U__x86_64__", "-D__arm__", "-D__ARM_EABI__"]),
    "aarch64": (0xC00000B7, "/usr/aarch64-linux-gnu/include/asm/unistd.h",
                ["-nostdinc", "-I/usr/aarch64-linux-gnu/include", "-U__x86_64__", "-D__aarch64__"]),
}
X32_BIT = 0x40000000
# Since Linux 6.1, one number everywhere unless a dictionary says otherwise.
ADDED = {
    "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": {"x86_64": 453, "x86": 453, "arm": 453, "aarch64": 453}, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "statmount": 457, "listmount": 458, "lsm_get_self_attr": 459, "lsm_set_self_attr": 460,
    "lsm_list_modules": 461, "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465,
    "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468, "file_setattr": 469,
    "uretprobe": {"x86_64": 335}, "uprobe": {"x86_64": 336},
}


def header_numbers(path, flags):
    text = subprocess.run(["gcc", "-E", "-dM", *flags, path], check=True, capture_output=True, text=True).stdout
    names = re.findall(r"^#define __NR_(\w+)\s", text, re.M) + ["ARM_" + n for n in re.findall(r"^#define __ARM_NR_(\w+)\s", text, re.M)]
    names = [n for n in names if n not in ("syscalls", "SYSCALL_BASE", "OABI_SYSCALL_BASE", "syscall_max", "SYSCALL_MASK", "ARM_BASE", "arch_specific_syscall")]
    source = f'#include "{path}"\n' + "".join(
        f"@{n} {'__ARM_NR_' + n[4:] if n.startswith('ARM_') else '__NR_' + n}\n" for n in names)
    out = subprocess.run(["gcc", "-E", "-P", *flags, "-x", "c", "-"], input=source, check=True, capture_output=True, text=True).stdout
    numbers = {}
    for name, expression in re.findall(r"^@\s*(\w+)\s+(.+)$", out, re.M):
        if not re.fullmatch(r"[0-9a-fA-Fx+() ]+", expression):
            continue
        number = eval(expression)  # noqa: S307 - digits, hex, plus and brackets only
        numbers[name[4:] if name.startswith("ARM_") else name] = number
    return numbers


def library_numbers(token):
    library = ctypes.CDLL("libseccomp.so.2")
    resolve = library.seccomp_syscall_resolve_name_arch
    resolve.argtypes = [ctypes.c_uint32, ctypes.c_char_p]
    with open("/usr/include/seccomp-syscalls.h", encoding="ascii") as file:
        names = set(re.findall(r"#define __SNR_(\w+)", file.read()))
    numbers = {name: resolve(token, name.encode()) for name in names}
    return {name: number for name, number in numbers.items() if number >= 0}, names


def main():
    table, known = {}, set()
    for arch, (token, header, flags) in ARCHES.items():
        numbers, names = library_numbers(token)
        known |= names
        if arch == "x32":
            numbers = {name: number & ~X32_BIT for name, number in numbers.items()}
        for name, number in header_numbers(header, flags).items():
            if numbers.get(name, number) != number:
                print(f"{arch} {name}: headers {number}, libseccomp {numbers[name]}", file=sys.stderr)
            numbers[name] = number
        for name, number in ADDED.items():
            number = number.get(arch) if isinstance(number, dict) else number
            if number is not None:
                numbers[name] = number
        for name, number in numbers.items():
            table.setdefault(name, {})[arch] = number
    known |= set(table)
    print("// Made by gen/make_syscalls.py; do not edit. Sorted by name. -1: the architecture has no such call.")
    print("// " + " ".join(ARCHES))
    for name in sorted(known):
        row = ", ".join(str(table.get(name, {}).get(arch, -1)) for arch in ARCHES)
        print(f'{{"{name}", {{{row}}}}},')


main()
