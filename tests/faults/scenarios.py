"""The commands that are put under faults: how each is prepared, and what its success must look like."""

import cases
import stage as stages
from lib import cgroups


class Scenario:
    """A command of the runtime on a container in a certain state."""

    name = ""
    success = (0,)  # exit statuses of a command that did what it should
    failure = (1,)  # exit statuses that mean "the runtime could not"
    records = (1,)  # how many error records tell of a failure
    payload_status = ()  # exit statuses that may be the container's own

    def config(self, stage):
        """The configuration of the bundle."""
        return stages.base_config()

    def prepare(self, stage):
        """Bring the container into its state."""

    def argv(self, stage):
        """The command line under test."""
        raise NotImplementedError

    def attach(self, stage):
        """A process to be traced beside the command."""
        return None

    def faults(self, calls, kinds):
        """What goes wrong, given the command's system calls."""
        return cases.from_trace(calls, kinds)

    def judge(self, stage, outcome, baseline):
        """Complaints about a command that says it was successful."""
        raise NotImplementedError

    def fallback(self, missing, added):
        """Whether a success that differs from the baseline is a documented way around the fault."""
        return False

    def facts(self, stage, outcome):
        """What the baseline is compared with; None when the command shows nothing."""
        return stage.facts(outcome.out)

    def after(self, stage, outcome, fault):
        """Complaints about what else should hold after the command, whatever became of it."""
        return []


def compare(now, baseline, fallback=lambda missing, added: False):
    """Complaints when a process is confined differently from one that was started without a fault."""
    if now == baseline:
        return []
    missing = [line for line in baseline if line not in now]
    added = [line for line in now if line not in baseline]
    if fallback(missing, added):
        return []
    return ["confined differently: " + "; ".join([f"-{l}" for l in missing][:6] + [f"+{l}" for l in added][:6])]


class Run(Scenario):
    """run in the foreground."""

    name = "run"
    payload_status = (137,)

    def argv(self, stage):
        return stage.argv("run", "--bundle", stage.bundle, stage.id)

    def judge(self, stage, outcome, baseline):
        complaints = compare(self.facts(stage, outcome), baseline, self.fallback)
        # Whatever is told on standard error is no silent success: the container ran, its removal failed.
        if stage.exists() and not outcome.errors:
            complaints.append("run left its state behind and does not say so")
        return complaints


class RunUserns(Run):
    """run with a user namespace of its own."""

    name = "run-userns"

    def config(self, stage):
        made = stages.base_config()
        made["linux"]["namespaces"].append({"type": "user"})
        for kind in ("uidMappings", "gidMappings"):
            made["linux"][kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]
        del made["linux"]["devices"]
        return made

    def fallback(self, missing, added):
        # Refused a sysfs of its own, it is shown the host's: read-only, with all that is mounted below.
        shown = all(line.startswith(("mount /sys/", "node /sys/")) and (" ro," in line or " ro " in line or line.startswith("node")) for line in added)
        return not missing and shown


class RunHooks(Run):
    """run with a hook of each kind."""

    name = "run-hooks"

    def config(self, stage):
        made = stages.base_config()
        host, inside = str(stage.rootfs / "probe/true"), "/probe/true"
        made["hooks"] = {kind: [{"path": host}] for kind in ("createRuntime", "createContainer", "poststart", "poststop")}
        made["hooks"]["startContainer"] = [{"path": inside}]
        return made


def without_mount_namespace(made):
    """The same configuration for a container whose mounts are the caller's."""
    made["linux"]["namespaces"] = [n for n in made["linux"]["namespaces"] if n["type"] != "mount"]
    return made


class RunShared(Run):
    """run without a mount namespace: what is mounted is mounted for everybody, and must go."""

    name = "run-shared"

    def config(self, stage):
        return without_mount_namespace(super().config(stage))


class Detached(Scenario):
    """run --detach."""

    name = "run-detach"

    def argv(self, stage):
        return stage.argv("run", "--detach", "--bundle", stage.bundle, stage.id)

    def output(self, stage, outcome):
        """All output of the process, which may be running still."""
        stage.wait_status("stopped")
        return outcome.out

    def facts(self, stage, outcome):
        return stage.facts(self.output(stage, outcome))

    def judge(self, stage, outcome, baseline):
        if not stage.exists():
            return ["says it was successful, but there is no container"]
        return compare(self.facts(stage, outcome), baseline)


class Create(Detached):
    """create; then a start without a fault shows what was created."""

    name = "create"

    def argv(self, stage):
        return stage.argv("create", "--bundle", stage.bundle, stage.id)

    def output(self, stage, outcome):
        started = stage.run("start", stage.id)
        if started.rc != 0:
            return f"start failed: {started.err}"
        return super().output(stage, outcome)


class Start(Detached):
    """start of a created container; its init is traced as well."""

    name = "start"

    def prepare(self, stage):
        self.created = stage.run("create", "--bundle", stage.bundle, stage.id)
        assert self.created.rc == 0, self.created

    def attach(self, stage):
        return stage.state()["pid"]

    def argv(self, stage):
        return stage.argv("start", stage.id)

    def output(self, stage, outcome):
        return super().output(stage, self.created)


class Exec(Scenario):
    """exec in the foreground, in a running container."""

    name = "exec"
    failure = (255,)
    payload_status = (137,)

    def config(self, stage):
        made = stages.base_config()
        made["process"]["args"] = ["/probe/pause"]
        return made

    def prepare(self, stage):
        started = stage.run("run", "--detach", "--bundle", stage.bundle, stage.id)
        assert started.rc == 0, started
        self.init = stage.state()["pid"]

    def argv(self, stage):
        return stage.argv("exec", stage.id, "/probe/confined", *stages.NODES)

    def judge(self, stage, outcome, baseline):
        return compare(self.facts(stage, outcome), baseline)

    def after(self, stage, outcome, fault):
        complaints = []
        if stage.state().get("status") != "running":
            complaints.append("the container no longer runs")
        if not stage.until(lambda: stage.processes() == [self.init]):
            complaints.append(f"processes left in the container: {[p for p in stage.processes() if p != self.init]}")
        return complaints


class Update(Exec):
    """update of several resources of a running container."""

    name = "update"
    failure = (1,)
    payload_status = ()

    def argv(self, stage):
        return stage.argv("update", "--pids-limit", "77", "--memory", "128M", "--cpu-share", "256", stage.id)

    def facts(self, stage, outcome):
        path = f"/{stage.prefix}/{stage.id}"
        wanted = (("pids", "pids.max"), ("memory", "memory.limit_in_bytes"), ("cpu", "cpu.shares"))
        return [f"{name} {cgroups.read(controller, path, name)}" for controller, name in wanted]

    def judge(self, stage, outcome, baseline):
        now = self.facts(stage, outcome)
        return [] if now == baseline else [f"says it was successful, but the limits are {now}"]


class Delete(Scenario):
    """delete of a stopped container."""

    name = "delete"

    def prepare(self, stage):
        started = stage.run("run", "--detach", "--bundle", stage.bundle, stage.id)
        assert started.rc == 0, started
        assert stage.wait_status("stopped")

    def argv(self, stage):
        return stage.argv("delete", stage.id)

    def facts(self, stage, outcome):
        return []

    def judge(self, stage, outcome, baseline):
        left = stage.leaks()
        return ["says it was successful, but left " + ", ".join(left)] if left else []


class DeleteForce(Delete):
    """delete --force of a running container."""

    name = "delete-force"

    def config(self, stage):
        return Exec.config(self, stage)

    def prepare(self, stage):
        Exec.prepare(self, stage)

    def argv(self, stage):
        return stage.argv("delete", "--force", stage.id)


class DeleteShared(DeleteForce):
    """delete --force of a running container without a mount namespace."""

    name = "delete-shared"

    def config(self, stage):
        return without_mount_namespace(super().config(stage))


ALL = {s.name: s for s in (Create, Start, Run, RunUserns, RunShared, RunHooks, Detached, Exec, Delete, DeleteForce, DeleteShared, Update)}
