"""More verbs of images under faults: those that make images of other things than layers, that write images elsewhere, and that mend a store.
What a command writes beside the store is there whole; when the command has not ended well, whole or not at all."""

import hashlib
import os
import shutil

from images import ImageScenario, LoadOver, Render
from lib import acis, probes
from lib.layouts import Layout, directory, entry, hardlink, layer
from lib.pgp import Keys
from lib.registries import Hostile

LIBRARY = acis.aci(acis.manifest("example.com/lib"), directory("lib"), entry("lib/one", b"1" * 3000, uid=5), compress="gzip")
NEEDS = {"dependencies": [{"imageName": "example.com/lib"}], "app": acis.app("/bin/x", user="/bin/x")}
PROGRAM = acis.aci(acis.manifest("example.com/app", **NEEDS), entry("bin/x", b"x" * 3000, uid=7), hardlink("twin", "bin/x"), compress="gzip")
SIGNED = acis.aci(acis.manifest("apps.example.com/web"), entry("bin/x", b"y" * 3000, mode=0o755), compress="gzip")


def put(path, data):
    """Write a file; its path."""
    path.write_bytes(data)
    return path


def source(stage):
    """A directory for image build-from-dir, made once."""
    top = stage.top / "source"
    if not top.exists():
        (top / "etc").mkdir(parents=True)
        put(top / "etc/conf", b"value" * 1000).chmod(0o640)
        os.setxattr(top / "etc/conf", "user.note", b"kept")
        os.link(top / "etc/conf", top / "twin")
        os.symlink("etc/conf", top / "link")
        put(top / ".cooperignore", b"*.o\n")
    return top


class LoadAci(ImageScenario):
    """image load of an ACI whose dependency is there."""

    name = "image-load-aci"
    template = "library"

    def make(self, stage):
        stage.must("image", "load", put(stage.top / "lib.aci", LIBRARY))

    def words(self, stage):
        return ("image", "load", put(stage.top / "app.aci", PROGRAM))


class Fetch(ImageScenario):
    """image fetch of an ACI and its signature from a server; gpgv checks it."""

    name = "image-fetch"
    template = "trusting"
    records = (1, 2, 3)  # as of image pull; who has signed the image is told before

    def make(self, stage):
        with Keys() as keys:
            maker = keys.make("Maker <maker@example.com>")
            keys.sign(maker, put(stage.top / "web.aci", SIGNED))
            key = keys.export(stage.top / "maker.asc", maker)
        stage.must("trust", "add", "--prefix", "apps.example.com", "--fingerprint", maker, key)
        for name in ("web.aci", "web.aci.asc"):
            stage.registry.documents[name] = ((stage.top / name).read_bytes(), "application/octet-stream")

    def words(self, stage):
        return ("image", "fetch", "--quiet", "--insecure-options=http", f"http://{stage.registry.host}/web.aci")


class Build(ImageScenario):
    """image build-from-dir."""

    name = "image-build"

    def words(self, stage):
        return ("image", "build-from-dir", "--quiet", source(stage), "built:1")


class Save(LoadOver):
    """image save into an archive, over an older file."""

    name, leaf = "image-save", "out.tar"
    old = {"out.tar": hashlib.sha256(b"old").hexdigest()}  # what is there before

    def words(self, stage):
        return ("image", "save", "--quiet", "-o", stage.out / self.leaf, "test:1")

    def clear(self, stage):
        """The place to write to as it is before."""
        stage.clear_out()
        if self.old:
            put(stage.out / self.leaf, b"old")

    def prepare(self, stage):
        super().prepare(stage)
        self.clear(stage)

    def written(self, stage):
        """{name: digest} of what is there now."""
        files = (path for path in sorted(stage.out.rglob("*")) if path.is_file())
        return {str(path.relative_to(stage.out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def facts(self, stage, outcome):
        stage.wholes[self.name] = self.written(stage)
        return super().facts(stage, outcome)

    def judge(self, stage, outcome, baseline):
        found = self.written(stage)
        return super().judge(stage, outcome, baseline) + ([] if found == stage.wholes[self.name] else [f"success, but written is {found}"])

    def after(self, stage, outcome, fault):
        found = self.written(stage)
        if outcome.rc == 137 and fault.kind == "kill":  # what was being written has a name that nobody takes for the file's
            found = {name: digest for name, digest in found.items() if not name.startswith(".cooper-new-")}
        elif any(path.name.startswith(".cooper-new-") for path in stage.out.iterdir()):
            return [f"left beside the file: {os.listdir(stage.out)}"]
        wrong = [] if found in (self.old, stage.wholes[self.name]) else [f"written is {found}"]
        return super().after(stage, outcome, fault) + wrong

    def tidy(self, stage, works):
        self.clear(stage)


class SaveLayout(Save):
    """image save into a directory."""

    name, leaf, old = "image-save-dir", "layout", {}

    def words(self, stage):
        return ("image", "save", "--quiet", "--transport", "oci-dir", "-o", stage.out / self.leaf, "test:1")

    def clean_up(self, stage):
        self.clear(stage)  # a directory that is not empty is refused
        return super().clean_up(stage)


class PushLayout(Save):
    """image push into a layout that has another image: what is killed may leave blobs there, and never an index without its blobs."""

    name, leaf, old = "image-push-layout", "layout", {}

    def words(self, stage):
        return ("image", "push", "--quiet", "test:1", f"oci:{stage.out / self.leaf}:new")

    def clear(self, stage):
        stage.clear_out()
        made = Layout(stage.out / self.leaf)
        made.index(made.image(layer(entry("theirs", b"x"))), name="old")
        self.old = self.written(stage)

    def after(self, stage, outcome, fault):
        found, whole, index = self.written(stage), stage.wholes[self.name], f"{self.leaf}/index.json"
        killed = outcome.rc == 137 and fault.kind == "kill"
        if killed:
            found = {name: digest for name, digest in found.items() if not name.split("/")[-1].startswith(".cooper-new-")}
        if killed and found.get(index) == self.old[index]:
            found = {name: digest for name, digest in found.items() if name in self.old or digest != whole.get(name)}
        wrong = [] if found in (self.old, whole) else [f"written is {found}"]
        return ImageScenario.after(self, stage, outcome, fault) + wrong


class ExtractOver(Save):
    """image extract in the place of a tree that is there."""

    name, leaf = "image-extract-over", "tree"
    old = {"tree/sub/theirs": hashlib.sha256(b"old").hexdigest()}

    def words(self, stage):
        return ("image", "extract", "--quiet", "--overwrite", "test:1", stage.out / self.leaf)

    def clear(self, stage):
        stage.clear_out()
        (stage.out / "tree/sub").mkdir(parents=True)
        put(stage.out / "tree/sub/theirs", b"old")
        os.setxattr(stage.out / "tree", "trusted.cooper.unpacked", b"1")

    def clean_up(self, stage):
        self.clear(stage)  # also of what a kill has left beside it
        return super().clean_up(stage)


class ToAci(Save):
    """image convert of an OCI image to an ACI: it is unpacked for that."""

    name, leaf = "image-to-aci", "out.aci"
    old = {leaf: hashlib.sha256(b"old").hexdigest()}

    def words(self, stage):
        return ("image", "convert", "--quiet", "test:1", stage.out / self.leaf)


class FromAci(Save):
    """image convert of an ACI to an OCI archive."""

    name = "image-from-aci"
    template = "program"

    def make(self, stage):
        for name, data in (("lib.aci", LIBRARY), ("app.aci", PROGRAM)):
            stage.must("image", "load", put(stage.top / name, data))

    def words(self, stage):
        return ("image", "convert", "--quiet", "example.com/app:1", stage.out / self.leaf)


class Push(LoadOver):
    """image push to a registry that has nothing."""

    name = "image-push"
    records = (1, 2)  # as of image pull

    def prepare(self, stage):
        super().prepare(stage)
        stage.shelf.documents.clear()
        stage.shelf.uploads.clear()

    def words(self, stage):
        return ("image", "push", "--quiet", "test:1", stage.shelf.name)

    def judge(self, stage, outcome, baseline):
        return super().judge(stage, outcome, baseline) + ([] if "1" in stage.shelf.documents else ["success, but the registry has no manifest"])

    def after(self, stage, outcome, fault):
        # The manifest goes last: who finds it finds all.
        has = stage.shelf.documents
        missing = [digest for digest in stage.look().needed if "1" in has and digest not in has]
        return super().after(stage, outcome, fault) + ([f"the registry has the manifest, and no {missing}"] if missing else [])


class Erofs(Render):
    """The erofs image of an unpacked tree is made for a pod that is prepared."""

    name = "image-erofs"
    template = "first"

    def make(self, stage):
        LoadOver.make(self, stage)

    def words(self, stage):
        return ("pod", "prepare", "test:1", "--rootfs-backend=erofs")

    def sense(self, meaning):
        # Where nobody could note that it is superseded, the unpacked tree stays with its image.
        return {**meaning, "trees": [name for name in meaning["trees"] if f"{name}.erofs" not in meaning["trees"]]}


class ErofsAnew(Erofs):
    """The same where nothing is unpacked."""

    name = "image-erofs-anew"
    template = "not-unpacked"
    make = Render.make


class ErofsRun(Erofs):
    """The first run of a container on erofs where nothing is unpacked: mkfs.erofs, the mount, guardian, monitor and init included."""

    name = "image-erofs-run"
    template = "runs"
    failure = (125, 126)  # 126: the program cannot be executed
    payload_status = (137,)

    def make(self, stage):
        made = Layout(stage.top / "runs")
        made.index(made.image(layer(directory("bin"), entry("bin/payload", probes.path("true").read_bytes(), mode=0o755))), name="runs:1")
        stage.must("image", "load", made.path)
        shutil.rmtree(stage.images / "trees")
        (stage.images / "trees").mkdir(mode=0o700)

    def words(self, stage):
        return ("run", "--rm", "--rootfs-backend=erofs", "runs:1", "/bin/payload")

    def facts(self, stage, outcome):
        if stage.before:  # the control group of the engine is made by its first container, and stays
            stage.before.cgroups |= {path for path in stage.snapshot().cgroups if path.endswith("/engine")}
        return super().facts(stage, outcome)

    def clean_up(self, stage):
        complaints = []
        for _ in range(20):  # a pod that somebody still works on is left alone
            complaints = stage.collect()
            if not stage.leaks(0.5):
                break
        needed, more = super().clean_up(stage)
        return needed, complaints + more


class Repair(LoadOver):
    """image verify --repair of an unpacked tree and an erofs image that are damaged."""

    name = "image-repair"
    template = "damaged"
    success = (0, 2)  # 2: a blob could not be read, and stays
    forgiven = (" differs: ", "has other bytes than were noted", " is missing", " is not whole")

    def make(self, stage):
        stage.must("image", "load", stage.layouts["other"].path)
        stage.must("pod", "prepare", "other:1", "--rootfs-backend=erofs")
        Erofs().tidy(stage, lambda *words: stage.must(*words))
        super().make(stage)
        stage.look()  # while all is well
        (tree,) = stage.images.glob("trees/*/rootfs/first")
        put(tree, b"2" * 5000)
        (erofs,) = stage.images.glob("trees/*.erofs/rootfs")
        with open(erofs, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\xff")

    def words(self, stage):
        return ("image", "verify", "--quiet", "--repair")

    def judge(self, stage, outcome, baseline):
        return super().judge(stage, outcome, baseline) if outcome.rc == 0 else self.unforgiven(stage.look())

    def tidy(self, stage, works):
        Erofs.tidy(self, stage, works)
        for name in ("first", "other"):
            works("image", "load", stage.layouts[name].path)
        works(*self.words(stage))  # with all layers there

    def sense(self, meaning):
        # A tree that could not be made anew, in whichever form, is made by the next container.
        return {**meaning, "trees": []}


class RepairBlob(LoadOver):
    """image verify --repair of a damaged layer: it is taken away, and a load brings it."""

    name = "image-repair-blob"
    template = "damaged-blob"
    success = (2,)
    forgiven = ("has other bytes", " is missing", " is not whole")

    def make(self, stage):
        super().make(stage)
        (record,) = stage.look().images.values()
        layer = stage.images / "blobs" / record["layers"][0].replace(":", "/")
        layer.chmod(0o600)
        put(layer, layer.read_bytes()[:-1])

    def words(self, stage):
        return ("image", "verify", "--quiet", "--repair", "test:1")

    def judge(self, stage, outcome, baseline):
        return self.unforgiven(stage.look())  # the exit status says that the image is not whole

    def tidy(self, stage, works):
        works("image", "load", stage.layouts["first"].path)


ALL = {kind.name: kind for kind in (LoadAci, Fetch, Build, Save, SaveLayout, PushLayout, ExtractOver, ToAci, FromAci, Push, Erofs, ErofsAnew, ErofsRun, Repair, RepairBlob)}
