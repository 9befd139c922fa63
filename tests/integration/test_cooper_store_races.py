"""Many users of one image store, killed at any moment: no name leads to missing or wrong bytes afterwards, and gc leaves nothing over.

COOPER_RACE_ROUNDS is for how many tenths of a second that goes on: 25 here, 600 for the full run.
"""

import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from lib import needs, proc
from lib.cooper import busybox_layout, engine_dir, new_engine  # noqa: F401
from lib.layouts import Layout, directory, entry, hardlink, layer
from lib.registries import Hostile
from lib.store_view import StoreView

pytestmark = pytest.mark.needs("root", "cooper", "isolation")
SECONDS = int(os.environ.get("COOPER_RACE_ROUNDS", "25")) / 10
USERS = 3
ONE, TWO = "apps.example.com/one:1", "apps.example.com/two:1"
# What a command may say of an image that somebody else has just removed, or uses.
EXPECTED = ("not in the store", "is in use", "no such image", "was removed meanwhile")


@pytest.fixture
def layouts(workdir):
    """Two images that share a layer; the first runs."""
    with open("/bin/busybox", "rb") as file:
        busybox = file.read()
    base = layer(directory("bin"), entry("bin/true", busybox, mode=0o755), hardlink("bin/sh", "bin/true"))
    made = []
    for name in (ONE, TWO):
        members = [entry(f"d{i % 10}/f{i}", os.urandom(2000), uid=i) for i in range(150)]
        layout = Layout(workdir / f"layout{len(made)}")
        made.append(layout.index(layout.image(base, layer(*members), compress="gzip"), name=name))
    return made


class User(threading.Thread):
    """Runs commands one after the other until the end, and kills most of them at some moment."""

    def __init__(self, engine, words, seed, end):
        super().__init__()
        self.engine, self.words, self.end = engine, words, end
        self.random = random.Random(seed)
        self.complaints, self.ended, self.killed = [], 0, 0

    def run(self):
        while time.monotonic() < self.end:
            self.one(self.random.choice(self.words))

    def one(self, words):
        """One command. A kill is that of the command alone, or of all that it has started."""
        kill = self.random.random() < 0.6
        with subprocess.Popen(self.engine.argv(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.engine.environ, start_new_session=True) as child:
            if kill:
                time.sleep(self.random.random() ** 2 * 0.2)
                with contextlib.suppress(ProcessLookupError):
                    self.random.choice((os.kill, os.killpg))(child.pid, signal.SIGKILL)
                self.killed += 1
            # A container that lives on has the pipe as well.
            said = b"" if kill else child.stdout.read()
            child.wait()
        if not kill:
            self.ended += 1
            if child.returncode != 0 and not any(text in said.decode(errors="replace") for text in EXPECTED):
                self.complaints.append(f"{words}: {child.returncode}: {said.decode(errors='replace')[-600:]}")


def test_killed_users_of_one_store(new_engine, layouts, workdir):  # noqa: F811
    """load, pull, run, tag, rm, gc, verify and ls of the same images, side by side, most of them killed."""
    engine = new_engine(load=False)
    engine("image", "ls").check()
    archive = layouts[0].archive(workdir / "one.tar")
    with Hostile(layouts[0]) as registry:
        words = [
            ("image", "load", archive), ("image", "load", layouts[1].path), ("image", "pull", "--quiet", registry.name),
            ("run", "--rm", "--pull", "never", ONE, "true"), ("run", "--rm", "--pull", "never", registry.name, "true"),
            ("image", "tag", ONE, TWO), ("image", "rm", "--force", ONE), ("image", "rm", TWO), ("image", "rm", registry.name),
            ("image", "save", "-o", workdir / "saved.tar", TWO), ("image", "gc"), ("image", "gc", "--older", "0s"), ("image", "verify", "--quiet"), ("image", "verify", "--quiet", "--repair"), ("image", "ls"),
        ]  # fmt: skip
        if not any(map(needs.unmet, ("mkfs.erofs", "erofs"))):
            words.append(("run", "--rm", "--pull", "never", "--rootfs-backend", "erofs", ONE, "true"))
        seed = random.randrange(1 << 32)
        users = [User(engine, words, seed + number, time.monotonic() + SECONDS) for number in range(USERS)]
        for user in users:
            user.start()
        for user in users:
            user.join()
        complaints = [text for user in users for text in user.complaints]
        assert complaints == [], f"seed {seed}"
        assert min(user.ended for user in users) > 1 and sum(user.killed for user in users) > SECONDS
        engine.remove_all()
        proc.until(lambda: engine.remove_all() or engine.pods() == [], 20, 0.1, "the end of all pods")
        assert StoreView(engine.root / "images").complaints == [], f"seed {seed}"
        engine("image", "verify").check()
        engine("image", "gc", "--older", "0s").check()
        view = StoreView(engine.root / "images")
        assert view.complaints + view.leftovers() == [], f"seed {seed}"
        for line in (("load", archive), ("load", layouts[1].path), ("pull", "--quiet", registry.name)):
            engine("image", *line, timeout=60).check()
        engine("run", "--rm", ONE, "true").check()
        engine("image", "verify").check()
    engine("image", "rm", "--all", "--force").check()
    view = StoreView(engine.root / "images")
    assert not view.names and not view.blobs and not view.trees and view.leftovers() == []
