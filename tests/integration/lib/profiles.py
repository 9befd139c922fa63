"""podman's default seccomp profile as an OCI seccomp object."""

import json
import pathlib

FILE = pathlib.Path("/usr/share/containers/seccomp.json")


def podman_default(capabilities=()):
    """The profile for this architecture and these capabilities, resolved as podman resolves it."""
    source = json.loads(FILE.read_text())
    rules = []
    for entry in source["syscalls"]:
        includes, excludes = entry.get("includes") or {}, entry.get("excludes") or {}
        if "arches" in includes and "amd64" not in includes["arches"]:
            continue
        if any(c not in capabilities for c in includes.get("caps", [])) or any(c in capabilities for c in excludes.get("caps", [])):
            continue
        rule = {"names": entry["names"], "action": entry["action"]}
        if entry.get("args"):
            rule["args"] = entry["args"]
        if entry.get("errnoRet") is not None:
            rule["errnoRet"] = entry["errnoRet"]
        rules.append(rule)
    return {
        "defaultAction": source["defaultAction"],
        "defaultErrnoRet": source.get("defaultErrnoRet", 1),
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    }
