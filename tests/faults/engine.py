"""The engine under faults: `cooper run --rm` is killed at every system call of every one of its processes; then `pod gc` cleans."""

import stage as stages
from lib import proc, rootfs
from scenarios import Scenario


class EngineStage(stages.Stage):
    """cooper with directories, a control group and an image of its own."""

    def __init__(self, binary, kind, top, prefix, cache):
        super().__init__(binary, kind, top, prefix, cache)
        self.lib, self.run_root = self.top / "lib", self.top / "run"
        self.settings = self.top / "cooper.toml"
        self.settings.write_text(f'cgroup_parent = "/{prefix}/engine"\n')
        self.fill()

    def fill(self):
        """Make what commands are tried with."""
        tree = rootfs.make_busybox(self.top / "tree")
        proc.run("tar", "-C", tree, "-cf", self.top / "busybox.tar", ".").check()
        imported = self.run("image", "import", self.top / "busybox.tar", "busybox")
        assert imported.rc == 0, imported

    def argv(self, *words):
        return [self.binary, "--root", str(self.lib), "--run-root", str(self.run_root), "--config", str(self.settings), *map(str, words)]

    def until_options(self):
        return ["--until-name", "busybox"]

    def save(self, made):
        """There is no configuration to write."""

    def pods(self):
        """What is there of pods, in whatever state, and of their names and sockets."""
        found = []
        for top in (self.lib / "pods", self.run_root / "pods", self.run_root / "coop"):
            for entry in top.iterdir() if top.exists() else ():
                found += [entry] if top != self.lib / "pods" else list(entry.iterdir())
        return found

    def exists(self):
        return False

    def collect(self):
        """Complaints about `pod gc`."""
        done = self.run("pod", "gc", "--grace-period", "0s", "--expire-prepared", "0s")
        return [f"pod gc: exit status {done.rc}: {done.err.strip()[:300]}"] if done.rc != 0 or done.hung else []

    def snapshot(self):
        now = super().snapshot()
        now.files |= {str(path) for path in self.pods()} | {str(path) for path in (self.lib / "images/trees").glob("*/users/*")}
        return now

    def wipe(self):
        super().wipe()
        self.run("rm", "--all", "--force")
        self.collect()


class EngineRun(Scenario):
    """cooper run --rm."""

    name = "cooper-run"
    failure = (125,)
    payload_status = (137,)

    def config(self, stage):
        return None

    def argv(self, stage):
        return stage.argv("run", "--rm", "busybox", "true")

    def facts(self, stage, outcome):
        return []

    def clean_up(self, stage):
        """(was gc needed, complaints): what is left when everybody has had a moment to act, gc finds and removes."""
        if not stage.leaks(1.0):
            return False, []
        complaints = []
        for _ in range(20):  # a pod that somebody still works on is left alone
            complaints = stage.collect()
            left = stage.leaks(0.5)
            if not left:
                return True, complaints
        return True, [*complaints, "left behind: " + ", ".join(left[:8])]


ALL = {EngineRun.name: EngineRun}
