"""podman, buildah, docker and containerd with everything of their own: storage, run directories, sockets, cgroup parent.

What these versions need on a machine without systemd and without CAP_SYS_RESOURCE is in the classes:
podman no default ulimits and cgroupfs; dockerd --oom-score-adjust 0; containerd oom_score = 0.
"""

import contextlib
import os
import pathlib
import signal
import subprocess

from lib import paths, proc, ptys

CONTAINERS_CONF = """[containers]
default_ulimits = []
[engine]
events_logger = "file"
cgroup_manager = "cgroupfs"
healthcheck_events = false
runtime_supports_nocgroup = ["coop"]
"""

CONTAINERD_CONFIG = """version = 2
root = "{folder}/data"
state = "{folder}/state"
oom_score = 0
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/c.sock"
"""


class Client:
    """A command line program: call it with its arguments."""

    def __init__(self, folder, cgroup_parent):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cgroup_parent = cgroup_parent
        self.runtime = str(paths.runtime_binary())
        self.environ = {**os.environ, "HOME": str(self.folder), "TMPDIR": str(self.folder), "LC_ALL": "C"}

    def argv(self, *args):
        """The full command line."""
        raise NotImplementedError

    def __call__(self, *args, timeout=60, **options):
        """Run to the end; returns a proc.Result."""
        return proc.run(*self.argv(*args), env=self.environ, timeout=timeout, **options)

    def background(self, *args, **options):
        """Start beside the test (a context manager)."""
        return proc.Background(*self.argv(*args), env=self.environ, **options)

    def on_terminal(self, *args, **options):
        """Start on a fresh pty (a context manager)."""
        return ptys.OnTerminal(*self.argv(*args), env=self.environ, **options)


class Podman(Client):
    """podman with its own storage. run(...) adds what every container here needs."""

    def __init__(self, folder, cgroup_parent, runtime=None, monitor=None):
        super().__init__(folder, cgroup_parent)
        if runtime:
            self.runtime = str(runtime)
        conf = self.folder / "containers.conf"
        conf.write_text(CONTAINERS_CONF + (f'conmon_path = ["{monitor}"]\n' if monitor else ""))
        self.environ["CONTAINERS_CONF"] = str(conf)

    def argv(self, *args):
        base = ["podman", "--root", self.folder / "st", "--runroot", self.folder / "rr", "--tmpdir", self.folder / "tmp"]
        return [str(a) for a in (*base, "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", self.runtime, *args)]

    def options(self):
        """Options of every new container."""
        return ("--network", "none", "--cgroup-parent", self.cgroup_parent)

    def run(self, *args, **options):
        """podman run."""
        return self("run", *self.options(), *args, **options)

    @contextlib.contextmanager
    def running(self, name, *args):
        """A detached container, removed afterwards."""
        try:
            self.run("--detach", "--name", name, *args).check()
            yield name
        finally:
            self("rm", "--force", "--time", "0", name)


class Buildah(Client):
    """buildah on the storage of a Podman."""

    def __init__(self, podman):
        super().__init__(podman.folder, podman.cgroup_parent)
        self.environ = podman.environ

    def argv(self, *args):
        return [str(a) for a in ("buildah", "--root", self.folder / "st", "--runroot", self.folder / "rr", *args)]

    @contextlib.contextmanager
    def working(self, name, image):
        """A working container from an image, removed afterwards."""
        self("from", "--pull-never", "--name", name, "--cgroup-parent", f"{self.cgroup_parent}/{name}", image).check()
        try:
            yield name
        finally:
            self("rm", name)

    def run(self, *args, **options):
        """buildah run with the runtime under test."""
        return self("run", "--runtime", self.runtime, "--isolation", "oci", "--network", "none", *args, **options)


class Daemon(Client):
    """A client together with its daemon; stop() ends the daemon by its pid."""

    daemon = None

    def launch(self, *args, socket, log):
        """Start the daemon and wait for its socket to answer."""
        with open(self.folder / log, "wb") as sink:
            self.daemon = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=self.environ, start_new_session=True)
        try:
            proc.until(lambda: self.daemon.poll() is not None or pathlib.Path(socket).exists(), 30, 0.05, f"socket of {args[0]}")
            proc.until(lambda: self.daemon.poll() is not None or self("version").rc == 0, 30, 0.1, f"an answer of {args[0]}")
            assert self.daemon.poll() is None, f"{args[0]} ended:\n{(self.folder / log).read_text()[-3000:]}"
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """SIGTERM, and SIGKILL if that does not help."""
        if self.daemon is None:
            return
        self.daemon.send_signal(signal.SIGTERM)
        try:
            self.daemon.wait(20)
        except subprocess.TimeoutExpired:
            proc.kill_group(self.daemon.pid)
            self.daemon.wait()
        self.daemon = None


class Docker(Daemon):
    """dockerd with the runtime under test as 'coop' (and as default), and Debian's docker client."""

    def __init__(self, folder, cgroup_parent):
        super().__init__(folder, cgroup_parent)
        self.socket = self.folder / "d.sock"
        self.program = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else "docker"
        self.environ["DOCKER_API_VERSION"] = "1.41"
        self.environ.pop("DOCKER_HOST", None)
        (self.folder / "daemon.json").write_text("{}")
        self.launch(
            "dockerd", "--config-file", self.folder / "daemon.json", "--data-root", self.folder / "data", "--exec-root", self.folder / "exec",
            "-H", f"unix://{self.socket}", "-p", self.folder / "pid", "--oom-score-adjust", "0", "--iptables=false", "--ip6tables=false",
            "--bridge=none", "--cgroup-parent", cgroup_parent, "--exec-opt", "native.cgroupdriver=cgroupfs",
            "--add-runtime", f"coop={self.runtime}", "--default-runtime", "coop",
            socket=self.socket, log="dockerd.log",
        )  # fmt: skip

    def argv(self, *args):
        return [str(a) for a in (self.program, "-H", f"unix://{self.socket}", *args)]

    def run(self, *args, **options):
        """docker run with the runtime under test."""
        return self("run", "--runtime", "coop", "--network", "none", *args, **options)

    @contextlib.contextmanager
    def running(self, name, *args):
        """A detached container, removed afterwards."""
        try:
            self.run("--detach", "--name", name, *args).check()
            yield name
        finally:
            self("rm", "--force", name)


class Containerd(Daemon):
    """containerd and ctr. The namespace carries the session's name, so the cgroups do."""

    def __init__(self, folder, cgroup_parent):
        super().__init__(folder, cgroup_parent)
        self.socket = self.folder / "c.sock"
        (self.folder / "config.toml").write_text(CONTAINERD_CONFIG.format(folder=self.folder))
        self.launch("containerd", "--config", self.folder / "config.toml", socket=self.socket, log="containerd.log")

    def argv(self, *args):
        return [str(a) for a in ("ctr", "--address", self.socket, "--namespace", self.cgroup_parent.strip("/"), *args)]

    def options(self, rootfs):
        """Options of every new container whose root is a directory."""
        return ("--runc-binary", self.runtime, "--env", "PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin", "--rootfs", rootfs)

    def run(self, rootfs, name, *args, flags=("--rm",), **options):
        """ctr run on a directory."""
        return self("run", *flags, *self.options(rootfs), name, *args, **options)

    @contextlib.contextmanager
    def running(self, rootfs, name, *args):
        """A detached task, removed afterwards."""
        try:
            self.run(rootfs, name, *args, flags=("--detach",)).check()
            yield name
        finally:
            self("task", "kill", "--signal", "SIGKILL", name)
            proc.until(lambda: self("task", "delete", name).rc == 0 or name not in self("task", "ls").out, 10, 0.1, "end of the task")
            self("container", "delete", name)
