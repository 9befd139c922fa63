"""Drive an OCI runtime by its command line, with its own state directory."""

import contextlib
import json
import os
import pathlib

from lib import paths, proc


class Runtime:
    """The runtime under test. One per test; its state root is private to the test."""

    def __init__(self, root, workdir):
        self.binary = str(paths.runtime_binary())
        self.kind = paths.runtime_kind()
        self.root = pathlib.Path(root)
        self.workdir = pathlib.Path(workdir)
        self.environ = {
            "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            "HOME": str(self.workdir),
            "TMPDIR": str(self.workdir / "tmp"),
            "LC_ALL": "C",
        }
        (self.workdir / "tmp").mkdir(exist_ok=True)

    def argv(self, *args, flags=()):
        """The full command line: global flags first, then the command."""
        return [self.binary, "--root", str(self.root), *[str(f) for f in flags], *[str(a) for a in args]]

    def __call__(self, *args, flags=(), env=None, **options):
        """Run any command; returns a proc.Result. flags go before the command, env is added."""
        return proc.run(*self.argv(*args, flags=flags), env={**self.environ, **(env or {})}, **options)

    def background(self, *args, flags=(), env=None, **options):
        """Start a command beside the test (use as a context manager)."""
        return proc.Background(*self.argv(*args, flags=flags), env={**self.environ, **(env or {})}, **options)

    # --- whole lives -----------------------------------------------------------------

    def run(self, bundle, *flags, save=True, **options):
        """Foreground run. Asserts that no state of the container is left behind."""
        if save:
            bundle.save()
        result = self("run", "--bundle", bundle.path, *flags, bundle.id, **options)
        assert not self.has_state(bundle.id), f"run left its state directory behind\n{result}"
        return result

    def output(self, bundle, *flags, **options):
        """Standard output of a run that must succeed."""
        return self.run(bundle, *flags, **options).check().out

    def create(self, bundle, *flags, output=None, save=True, **options):
        """Create. The container's output goes to the file 'output' (default: discarded)."""
        if save:
            bundle.save()
        args = ("create", "--bundle", bundle.path, *flags, bundle.id)
        return self.detached(*args, output=output, **options)

    def run_detached(self, bundle, *flags, output=None, **options):
        """run --detach; the container's output goes to the file 'output'."""
        bundle.save()
        return self.detached("run", "--detach", "--bundle", bundle.path, *flags, bundle.id, output=output, **options)

    def detached(self, *args, output=None, **options):
        """A command whose standard streams live on in the container.

        They are a file, never a pipe of the test. The runtime's own messages are taken
        from --log, which writes to the file as well as to standard error.
        """
        log = self.workdir / "runtime.log"
        log.unlink(missing_ok=True)
        target = output or self.workdir / "container.out"
        with open(target, "wb") as sink:
            env = {**self.environ, **(options.pop("env", None) or {})}
            child = proc.Background(*self.argv(*args, flags=("--log", log, *options.pop("flags", ()))), env=env, stdout=sink, stderr=sink, **{k: v for k, v in options.items() if k == "pass_fds"})
            with child:
                result = child.wait(options.get("timeout", proc.DEFAULT_TIMEOUT))
        result.err = log.read_text(errors="replace") if log.exists() else ""
        result.out = pathlib.Path(target).read_text(errors="replace")
        return result

    @contextlib.contextmanager
    def running(self, bundle, *flags, **options):
        """A detached container, force-deleted on leaving the with-block."""
        self.run_detached(bundle, *flags, **options).check()
        try:
            yield self.state(bundle.id)
        finally:
            self("delete", "--force", bundle.id)

    @contextlib.contextmanager
    def created(self, bundle, *flags, **options):
        """A created, not started container, force-deleted on leaving the with-block."""
        self.create(bundle, *flags, **options).check()
        try:
            yield self.state(bundle.id)
        finally:
            self("delete", "--force", bundle.id)

    # --- questions -------------------------------------------------------------------

    def state(self, container_id):
        """The parsed answer of 'state'."""
        return json.loads(self("state", container_id).check().out)

    def status(self, container_id):
        """'created', 'running', 'paused' or 'stopped'."""
        return self.state(container_id)["status"]

    def wait_status(self, container_id, wanted, timeout=10):
        """Poll 'state' until the container has this status."""
        proc.until(lambda: self.status(container_id) == wanted, timeout, 0.02, f"status {wanted} of {container_id}")

    def has_state(self, container_id):
        """True while the state root holds something for this id."""
        return any((self.root / name).exists() for name in (container_id, f".start-{container_id}", f".root-{container_id}", f".exit-{container_id}"))

    def ids(self):
        """Ids that 'list' shows."""
        return self("list", "--quiet").check().out.split()

    def exec(self, container_id, *argv, **options):
        """Foreground exec: exec(id, '--cwd', '/tmp', 'ls')-like; flags come first in argv."""
        before = options.pop("before", ())
        return self("exec", *before, container_id, *argv, **options)

    def delete_all(self):
        """Remove every container of this state root."""
        for name in self.ids():
            self("delete", "--force", name)
