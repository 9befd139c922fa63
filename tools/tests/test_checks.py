"""Each check must pass a clean tree and fail a tree with the one defect it looks for: a check that cannot fail checks nothing."""

import pathlib
import subprocess

import pytest

TOOLS = pathlib.Path(__file__).resolve().parents[1]


@pytest.fixture
def tree(tmp_path):
    """A function that makes a git work tree of the given files and returns its root."""

    def make(files):
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return make


def run(check, root, *arguments):
    return subprocess.run([TOOLS / check, "--root", root, *arguments], capture_output=True, text=True)


def passes(check, root):
    done = run(check, root)
    assert done.returncode == 0, done.stdout + done.stderr


def fails(check, root, *words):
    done = run(check, root)
    assert done.returncode == 1, done.stdout + done.stderr
    for word in words:
        assert word in done.stdout


class TestLayers:
    def test_downward_edges_pass(self, tree):
        passes("check-layers", tree({"src/base/a.h": "", "src/io/b.cpp": '#include "base/a.h"\n#include <vector>\n'}))

    def test_own_room_passes(self, tree):
        passes("check-layers", tree({"src/spec/oci_image/a.h": "", "src/spec/oci_image/a.cpp": '#include "spec/oci_image/a.h"\n'}))

    def test_allowed_sideways_edge_passes(self, tree):
        passes("check-layers", tree({"src/io/a.h": "", "src/codec/a.cpp": '#include "io/a.h"\n'}))

    @pytest.mark.parametrize(
        "source, target",
        [("base", "sys"), ("io", "log"), ("io", "codec"), ("sys", "container"), ("container", "image"), ("image", "container"),
         ("container", "network"), ("pod", "cli/cooper"), ("cli/coop", "cli/cooper"), ("spec/oci_image", "spec/oci_runtime"), ("spec/oci_image", "io"), ("cgroup", "monitor")],
    )  # fmt: skip
    def test_forbidden_edges_fail(self, tree, source, target):
        root = tree({f"src/{target}/t.h": "", f"src/{source}/s.cpp": f'// first\n#include "{target}/t.h"\n'})
        fails("check-layers", root, f"src/{source}/s.cpp:2:", f"'{source}'")

    def test_a_file_outside_every_room_fails(self, tree):
        fails("check-layers", tree({"src/attic/a.cpp": ""}), "no room")

    def test_a_relative_include_fails(self, tree):
        fails("check-layers", tree({"src/io/a.h": "", "src/io/a.cpp": '#include "a.h"\n'}), "by its path from src/")

    def test_an_unknown_include_fails(self, tree):
        fails("check-layers", tree({"src/io/a.cpp": '#include "nowhere.h"\n'}), "neither")

    def test_an_empty_tree_fails(self, tree):
        fails("check-layers", tree({}), "nothing to look at")


class TestBans:
    @pytest.mark.parametrize(
        "code, name",
        [
            ('system("ls");', "system"),
            ("return ::system(x);", "system"),
            ("FILE* f = popen(x, y);", "popen"),
            ("strcpy(a, b);", "strcpy"),
            ("std::sprintf(a, b);", "sprintf"),
            ("int n = atoi(s);", "atoi"),
            ("auto n = std::stoi(s);", "strtol"),
            ("signal(SIGTERM, handler);", "signal"),
            ("usleep(10);", "usleep"),
            ("int b = dup(a);", "dup"),
            ("#include <regex>", "regex"),
            ("#include <iostream>", "iostream"),
            ("std::filesystem::remove_all(p);", "filesystem"),
            ("throw 1;", "throw"),
            ("int* p = new int(3);", "new"),
            ("exit(1);", "exit"),
            ("// TODO: later", "note"),
            ("if (version(uts.release) > 5) {}", "kernel-version"),
            ("open(p, O_CREAT | O_RDWR);", "created-through-symlink"),
        ],
    )
    def test_banned_code_fails(self, tree, code, name):
        fails("check-bans", tree({"src/container/a.cpp": f"\n{code}\n"}), f"src/container/a.cpp:2: [{name}]")

    @pytest.mark.parametrize(
        "code",
        [
            "// calls system() and strcpy(a, b)",
            'const char* kText = "system(x); std::regex";',
            'auto text = R"(system("ls"))";',
            "Status signal(int number);",
            "Result<UniqueFd> accept(BorrowedFd fd);",
            "my_system(x); x.system(y); ops->signal(3);",
            "TODO(#12)",
            "int n = fd.release(); signal(SIGPIPE, SIG_IGN); ::uname(&uts);",
            "void f() noexcept; Foo(const Foo&) = delete; void* operator new(size_t) = delete;",
            "std::unique_ptr<Foo>(new Foo(1));",
            "open(p, O_CREAT | O_EXCL | O_RDWR);",
            "open(p, O_RDWR | O_NOFOLLOW | O_CREAT);",
            "int n = 1'000'000; char c = '\"'; // system()",
        ],
    )
    def test_innocent_code_passes(self, tree, code):
        passes("check-bans", tree({"src/container/a.cpp": f"{code}\n"}))

    def test_one_line_is_let_off_with_a_reason(self, tree):
        passes("check-bans", tree({"src/io/a.cpp": "dup(3);  // ban-ok(dup): the child wants it inherited\n"}))
        fails("check-bans", tree({"src/io/a.cpp": "dup(3);  // ban-ok(dup):\n"}), "[dup]")

    def test_headers_open_no_namespace(self, tree):
        fails("check-bans", tree({"src/io/a.h": "using namespace x;\n"}), "[using-namespace]")

    def test_where_a_ban_does_not_hold(self, tree):
        passes("check-bans", tree({"src/bin/a.cpp": "exit(1);\n", "src/io/a_test.cpp": "#include <iostream>\n"}))


class TestSize:
    def test_limits(self, tree):
        passes("check-size", tree({"src/io/a.cpp": "int x;\n" * 800}))
        fails("check-size", tree({"src/io/a.cpp": "int x;\n" * 801}), "801 lines")


class TestWords:
    def test_clean_text_passes(self, tree):
        passes("check-words", tree({"a.txt": "upper/wor" + "k/app and workdir=/var/lib/x\n"}))

    @pytest.mark.parametrize(
        "text, name",
        [("see /wor" + "k/main/x\n", "home"), ("deb" + ".debian.org\n", "registry"), ("x \n", "blank"), ("x\r\n", "carriage-return"),
         ("<" * 7 + " HEAD\n", "conflict"), ("no line feed", "last line"), (b"\xff\xfe\n", "not UTF-8"), (b"a\0b\n", "NUL")],
    )  # fmt: skip
    def test_defects_fail(self, tree, text, name):
        fails("check-words", tree({"a.txt": text}), name)


class TestDocs:
    def test_good_links_pass(self, tree):
        text = "# One `two`\n[a](b.md#a-heading) [self](#one-two) [web](https://example.org) `src/io/`\n```\n[x](nowhere)\n```\n"
        passes("check-docs", tree({"a.md": text, "b.md": "## A heading\n", "src/io/x.h": ""}))

    @pytest.mark.parametrize("text", ["[a](missing.md)", "[a](b.md#nothing)", "![p](p.png)", "see `src/nowhere/x.h`", "[a](../../etc/passwd)"])
    def test_broken_links_fail(self, tree, text):
        fails("check-docs", tree({"a.md": f"# One\n{text}\n", "b.md": "# B\n"}), "a.md:2:")


def compiled(root, name, code):
    """A build directory that knows one object, compiled with the flags given in the code's place."""
    source, build = root / "src" / "container" / name, root / "build"
    build.mkdir()
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(code)
    command = f"g++ -std=c++20 -O1 -fno-exceptions -I{root}/src -o x.o -c {source}"
    (build / "compile_commands.json").write_text(f'[{{"directory": "{build}", "command": "{command}", "file": "{source}"}}]')
    (build / "build.ninja").write_text(f"rule cc\n  command = {command}\nbuild x.o: cc {source}\n")
    return build


class TestZones:
    @pytest.mark.parametrize(
        "name, code",
        [
            ("a_lastmile.cpp", "#include <cstdlib>\nvoid* f() { return std::malloc(3); }\n"),
            ("a_lastmile.cpp", "#include <string>\nstd::string f(const char* s) { return std::string(s) + s; }\n"),
            ("a_lastmile.cpp", "int* f() { return new int[3]; }\n"),
            ("a_child.cpp", "#include <pwd.h>\nvoid* f() { return getpwnam(\"x\"); }\n"),
            ("a_child.cpp", "#include <cstdlib>\nvoid f() { std::exit(1); }\n"),
        ],
    )
    def test_forbidden_references_fail(self, tree, name, code):
        root = tree({})
        done = run("check-zones", root, compiled(root, name, code))
        assert done.returncode == 1 and f"src/container/{name}: references" in done.stdout, done.stdout + done.stderr

    @pytest.mark.parametrize(
        "name, code",
        [
            ("a_lastmile.cpp", "#include <unistd.h>\nvoid f() { char c = 0; (void)!write(2, &c, 1); _exit(1); }\n"),
            ("a_child.cpp", "#include <string>\nstd::string f(const char* s) { return std::string(s) + s; }\n"),
        ],
    )
    def test_allowed_references_pass(self, tree, name, code):
        root = tree({})
        done = run("check-zones", root, compiled(root, name, code))
        assert done.returncode == 0, done.stdout + done.stderr


class TestHeaders:
    def test_a_header_must_include_what_it_needs(self, tree):
        root = tree({"src/container/bad.h": "#pragma once\nstd::string f();\n"})
        done = run("check-headers", root, compiled(root, "a.cpp", "int f() { return 1; }\n"))
        assert done.returncode == 1 and "src/container/bad.h: does not compile alone" in done.stdout
        (root / "src/container/bad.h").write_text("#pragma once\n#include <string>\nstd::string f();\n")
        assert run("check-headers", root, root / "build").returncode == 0
        assert run("check-headers", root, root / "build").returncode == 0  # from the cache
