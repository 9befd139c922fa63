"""What every check of the repository shares: the list of files, the include graph, source text without comments, reporting."""

import hashlib
import pathlib
import re
import subprocess
import sys
import tomllib

# A check may be pointed at another tree (its own tests do that) by --root DIR as its first argument.
ROOT = pathlib.Path(__file__).resolve().parents[2]
if len(sys.argv) > 2 and sys.argv[1] == "--root":
    ROOT = pathlib.Path(sys.argv[2]).resolve()
    del sys.argv[1:3]

RULES = pathlib.Path(__file__).resolve().parents[1] / "rules"
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def files(*suffixes):
    """Paths (relative to ROOT, sorted) that git tracks or would track, with one of the suffixes; all of them without any."""
    command = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    wanted = (name for name in set(listed) if name and (not suffixes or name.endswith(suffixes)))
    return sorted(pathlib.PurePosixPath(name) for name in wanted if (ROOT / name).is_file() and not (ROOT / name).is_symlink())


def sources():
    return [path for path in files(".h", ".cpp", ".c") if path.parts[0] == "src"]


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def rules(name):
    with open(RULES / name, "rb") as stream:
        return tomllib.load(stream)


def includes(path):
    """(line number, included path as written) of each quoted include."""
    text = read(path)
    return [(text.count("\n", 0, match.start(1)) + 1, match.group(1)) for match in INCLUDE.finditer(text)]


class IncludeGraph:
    """Project headers each file reaches, resolved against src/ as the compiler does."""

    def __init__(self):
        self._direct = {}

    def direct(self, path):
        if path not in self._direct:
            found = []
            for _, name in includes(path):
                for candidate in (path.parent / name, pathlib.PurePosixPath("src") / name):
                    if (ROOT / candidate).is_file():
                        found.append(candidate)
                        break
            self._direct[path] = found
        return self._direct[path]

    def reach(self, path):
        """path and every project file it includes, directly or not."""
        seen, todo = {path}, [path]
        while todo:
            for header in self.direct(todo.pop()):
                if header not in seen:
                    seen.add(header)
                    todo.append(header)
        return sorted(seen)


def fingerprint(paths, *extra):
    """A digest of the contents of the files and of any further strings: the key of a cached verdict."""
    digest = hashlib.sha256()
    for text in extra:
        digest.update(text.encode() + b"\0")
    for path in paths:
        digest.update(str(path).encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()


_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])+'""",
    re.DOTALL,
)
_DIGIT_SEPARATOR = re.compile(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])")


def strip(text, keep_includes=True):
    """C++ text with comments and literals blanked, line numbers kept. Include lines keep their path."""
    text = _DIGIT_SEPARATOR.sub("_", text)

    def blank(match):
        token = match.group(0)
        if keep_includes and token[0] == '"':
            line = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if re.fullmatch(r"[ \t]*#[ \t]*include[ \t]*", line):
                return token
        kept = "" if token.startswith("/") else token[0] * 2
        return kept + re.sub(r"[^\n]", " ", token)[len(kept) :]

    return _TOKEN.sub(blank, text)


def finish(name, problems, looked_at):
    """Prints the problems, or one line that all is well, and ends the program with the matching status."""
    if looked_at == 0:
        problems = [*problems, "nothing to look at: is this the right directory?"]
    for problem in problems:
        print(f"{name}: {problem}")
    if not problems:
        print(f"{name}: {looked_at} looked at, no problem")
    sys.exit(1 if problems else 0)
