"""The image store under faults: load, import, pull, tag, rm, gc and unpacking are killed at every system call that changes a file, and their calls fail
one at a time. Whatever happens, no name leads to missing or wrong bytes, the same command works afterwards, and `image gc` leaves nothing over."""

import hashlib
import shutil
import tarfile

import cases
from engine import EngineStage
from lib import proc
from lib.layouts import Layout, directory, entry, hardlink, layer, symlink
from lib.registries import Hostile
from lib.store_view import StoreView
from scenarios import Scenario

SHARED = layer(directory("etc"), entry("etc/passwd", b"root:x:0:0::/:/bin/sh\n", mode=0o4755, uid=7), entry("gone"), symlink("link", "etc"))
FIRST = layer(entry("first", b"1" * 5000), hardlink("hard", "first"), entry(".wh.gone"), entry("pipe", type=tarfile.FIFOTYPE))
SECOND = layer(entry("second", b"2" * 3000), directory("etc", mode=0o700))


class ImageStage(EngineStage):
    """cooper with stores that are made once and copied into place for each case."""

    def fill(self):
        self.images, self.templates, self.known = self.lib / "images", self.top / "templates", {}
        self.templates.mkdir()
        self.layouts = {}
        for name, layers, tag in (("first", (SHARED, FIRST), "test:1"), ("second", (SHARED, SECOND), "test:1"), ("other", (SHARED, SECOND), "other:1")):
            made = self.layouts[name] = Layout(self.top / name)
            made.index(made.image(*layers, compress="gzip" if name == "first" else "", config={"author": tag}), name=tag)
        (self.top / "rootfs.tar").write_bytes(SHARED)
        with self.settings.open("a") as settings:
            settings.write(f'[trust]\ndirectory = "{self.top}/trust"\nvendor_directory = "{self.top}/vendor"\n')
        self.out, self.wholes = self.top / "out", {}
        self.clear_out()
        self.registry, self.shelf = Hostile(self.layouts["first"]), Hostile()
        self.registry.__enter__(), self.shelf.__enter__()

    def end(self):
        self.registry.__exit__(), self.shelf.__exit__()

    def clear_out(self):
        """An empty directory for what commands write beside the store."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def until_options(self):
        return ["--until-name", "payload"]

    def must(self, *words):
        """A command without a fault."""
        done = self.run(*words)
        assert done.rc == 0, (words, done.err)

    def restore(self, name, make):
        """Put the store of this name into place, made by make() when it is asked for first."""
        shutil.rmtree(self.lib, ignore_errors=True)
        if not (self.templates / name).exists():
            self.must("image", "ls")
            make()
            proc.run("cp", "-a", self.lib, self.templates / name).check()
        else:
            proc.run("cp", "-a", self.templates / name, self.lib).check()

    def look(self):
        """The store as it is, checked."""
        view = StoreView(self.images)
        view.check_trees(self.known)
        return view


class ImageScenario(Scenario):
    """A command on a store."""

    failure = (1, 125)
    template = "empty"
    done_already = ""  # how the command refuses to do again what was done
    forgiven = ()  # complaints that are as before, until the command has ended well

    def config(self, stage):
        return None

    def make(self, stage):
        """Fill the store that the command begins with."""

    def words(self, stage):
        """The command."""
        raise NotImplementedError

    def faults(self, calls, kinds):
        """Kills at what changes files, and failures of every call."""
        return cases.on_disk(calls, kinds)

    def prepare(self, stage):
        stage.restore(self.template, lambda: self.make(stage))

    def argv(self, stage):
        return stage.argv(*self.words(stage))

    def facts(self, stage, outcome):
        return stage.look().meaning()

    def judge(self, stage, outcome, baseline):
        view = stage.look()
        return view.complaints + ([] if self.sense(view.meaning()) == self.sense(baseline) else [f"success, but the store holds {view.meaning()}"])

    def after(self, stage, outcome, fault):
        return [f"afterwards: {c}" for c in self.unforgiven(stage.look())]

    def sense(self, meaning):
        """A store's meaning without what may be there or not."""
        return meaning

    def unforgiven(self, view):
        """Complaints that no damage which was there before explains."""
        return [c for c in view.complaints if not any(words in c for words in self.forgiven)]

    def clean_up(self, stage):
        """(was gc needed, complaints): gc, then the same command once more, then gc."""
        complaints = []
        needed = bool(stage.look().leftovers())

        def works(*words, allowed=""):
            done = stage.run(*words)
            if done.hung or (done.rc not in (0, *self.success) and not (allowed and allowed in done.err)):
                complaints.append(f"{' '.join(map(str, words[:2]))} afterwards: exit status {done.rc}: {done.err.strip()[:300]}")

        def whole(when, found):
            view = stage.look()
            complaints.extend(f"{when}: {c}" for c in found(view) + [f"left over: {name}" for name in view.leftovers()])
            return view.meaning()

        works("image", "ls")
        works("image", "gc")
        whole("after gc", self.unforgiven)
        works(*self.words(stage), allowed=self.done_already)
        self.tidy(stage, works)
        works("image", "gc")
        meaning = whole("after the command once more", lambda view: view.complaints)
        if not complaints and self.sense(meaning) != self.sense(self.expected(stage)):
            complaints.append(f"once more made another store: {meaning}")
        left = stage.leaks(1.0)
        return needed, complaints + ([f"left behind: {', '.join(left[:8])}"] if left else [])

    def tidy(self, stage, works):
        """Take away what a test needs gone before the last gc."""

    def expected(self, stage):
        """What the store holds in the end."""
        known = stage.__dict__.setdefault("expectations", {})
        if self.name not in known:
            self.prepare(stage)
            assert stage.run(*self.words(stage)).rc in self.success
            self.tidy(stage, lambda *words, **_: stage.must(*words))
            stage.must("image", "gc")
            known[self.name] = stage.look().meaning()
        return known[self.name]


class Load(ImageScenario):
    """image load into an empty store."""

    name = "image-load"

    def words(self, stage):
        return ("image", "load", stage.layouts["first"].path)


class LoadOver(ImageScenario):
    """image load of another image under a name that is taken; one layer is there already."""

    name = "image-load-over"
    template = "first"

    def make(self, stage):
        stage.must("image", "load", stage.layouts["first"].path)

    def words(self, stage):
        return ("image", "load", stage.layouts["second"].path)


class Import(ImageScenario):
    """image import of a tar; its configuration holds the time, so each makes another image."""

    name = "image-import"

    def words(self, stage):
        return ("image", "import", stage.top / "rootfs.tar", "imported:1")

    def facts(self, stage, outcome):
        return None

    def judge(self, stage, outcome, baseline):
        view = stage.look()
        return view.complaints + ([] if list(view.names) == ["localhost/imported:1"] else [f"success, but the names are {list(view.names)}"])

    def tidy(self, stage, works):
        works("image", "rm", "imported:1")


class Tag(LoadOver):
    """image tag with a new name, and with one that another image has."""

    name = "image-tag"
    template = "two"

    def make(self, stage):
        super().make(stage)
        stage.must("image", "load", stage.layouts["other"].path)

    def words(self, stage):
        return ("image", "tag", "test:1", "new:1", "other:1")


class Remove(Tag):
    """image rm of one of two images that share a layer."""

    name = "image-rm"
    done_already = "not in the store"

    def words(self, stage):
        return ("image", "rm", "other:1")


class Collect(Tag):
    """image gc with an image without a name, a blob and a tree that nobody needs, and the directory of a dead process."""

    name = "image-gc"
    template = "garbage"

    def make(self, stage):
        super().make(stage)
        stage.must("image", "tag", "test:1", "other:1")
        (stage.images / "blobs/sha256" / hashlib.sha256(b"nobody's").hexdigest()).write_bytes(b"nobody's")
        for place in ("tmp/dead/tree/rootfs", f"trees/{'0' * 64}/rootfs"):
            (stage.images / place).mkdir(parents=True)
            (stage.images / place / "file").write_text("nobody's")
        (stage.images / f"trees/{'0' * 64}/tree.json").write_text("{}")

    def words(self, stage):
        return ("image", "gc")


class Render(LoadOver):
    """The tree of a stored image is unpacked for a pod that is prepared."""

    name = "image-render"
    template = "not-unpacked"

    def make(self, stage):
        super().make(stage)
        shutil.rmtree(stage.images / "trees")
        (stage.images / "trees").mkdir(mode=0o700)

    def words(self, stage):
        return ("pod", "prepare", "test:1")

    def tidy(self, stage, works):
        works("rm", "--all", "--force")
        works("pod", "gc", "--grace-period", "0s", "--expire-prepared", "0s")


class Pull(ImageScenario):
    """image pull from a registry; cooper-fetch is killed and fails as well."""

    name = "image-pull"
    records = (1, 2)  # what cooper-fetch says before it ends, or the loader of shared libraries for it, comes beside

    def words(self, stage):
        return ("image", "pull", "--quiet", stage.registry.name)


ALL = {kind.name: kind for kind in (Load, LoadOver, Import, Tag, Remove, Collect, Render, Pull)}
