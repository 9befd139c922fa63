"""Reads compile_commands.json of a build directory."""

import functools
import json
import pathlib
import shlex
import subprocess

import repo


def load(build_dir):
    """{source relative to the root: compiler and flags, without the source, the outputs and precompiled headers}, for first-party sources."""
    commands = {}
    for entry in json.loads((pathlib.Path(build_dir) / "compile_commands.json").read_text()):
        source = pathlib.Path(entry["file"])
        if not source.is_relative_to(repo.ROOT / "src"):
            continue
        commands[str(source.relative_to(repo.ROOT))] = _flags(shlex.split(entry["command"]), str(source))
    return commands


def _flags(words, source):
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MT", "-MQ", "-include"):  # included: a precompiled header, of the compiler alone
            skip = True
        elif word not in ("-c", "-MD", "-MMD", "-Winvalid-pch", source):
            kept.append(word)
    return kept


@functools.cache
def version(program):
    return subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
