"""What an image store must look like after any crash, read by nothing of ours: files, JSON and hashes."""

import hashlib
import json
import pathlib

from lib import trees

ALGORITHMS = ("sha256", "sha512")


class StoreView:
    """One look at a store."""

    def __init__(self, top):
        self.top = pathlib.Path(top)
        self.complaints = []
        # A dot stands before a name that is being written: nobody takes it for one.
        self.records = {p.name: p for p in self._list("refs/images") if not p.name.startswith(".")}
        self.names = {p.name.replace("+", "/"): p for p in self._list("refs/names") if not p.name.startswith(".")}
        self.blobs = {f"{a}:{p.name}": p for a in ALGORITHMS for p in self._list(f"blobs/{a}")}
        self.trees = {p.name: p for p in self._list("trees") if len(p.name.removesuffix(".erofs")) in (64, 128)}
        self.needed, self.images = set(), {}
        for name in self.records:
            self._check_image(name)
        for name, path in self.names.items():
            self._check_name(name, path)
        for digest, path in self.blobs.items():
            self._check_blob(digest, path)

    def _list(self, folder):
        path = self.top / folder
        return sorted(path.iterdir()) if path.is_dir() else []

    def _json(self, path, what):
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as reason:
            self.complaints.append(f"{what}: {reason}")
            return None

    def _check_blob(self, digest, path):
        algorithm, _, value = digest.partition(":")
        if hashlib.new(algorithm, path.read_bytes()).hexdigest() != value:
            self.complaints.append(f"blob {digest} has other bytes")

    def _needs(self, digest, what):
        self.needed.add(digest)
        if digest not in self.blobs:
            self.complaints.append(f"{what} is missing")
        return digest in self.blobs

    def _document(self, digest, what):
        return self._json(self.blobs[digest], f"{what} {digest}") if self._needs(digest, f"{what} {digest}") else None

    def _check_image(self, identity):
        record = self._json(self.records[identity], f"record {identity}")
        if record is None:
            return
        self.images[identity] = record
        self.needed |= {record.get("config", identity), *record["layers"]}
        manifest = self._document(record["manifest"], f"manifest of {identity}")
        # The id of an ACI is the digest of its archive, not of a configuration.
        config_digest = record.get("config", identity)
        config = self._document(config_digest, "configuration")
        if aci := record.get("aci"):
            self._document(aci["manifest"], "manifest of the ACI")
            self._needs(identity, f"archive of {identity}")
        if record["id"] != identity or manifest is None or config is None:
            self.complaints.append(f"record {identity} is not whole")
            return
        layers = [layer["digest"] for layer in manifest["layers"]]
        if manifest["config"]["digest"] != config_digest or layers != record["layers"]:
            self.complaints.append(f"record {identity} differs from its manifest")
        if len(config["rootfs"]["diff_ids"]) != len(layers):
            self.complaints.append(f"configuration {identity} differs from its manifest in layers")
        for layer in layers:
            self._needs(layer, f"layer {layer} of {identity}")

    def _check_name(self, name, path):
        record = self._json(path, f"name {name}")
        if record is not None and (record["name"] != name or record["image"] not in self.images):
            self.complaints.append(f"name {name} leads to {record.get('image')}, which is no image here")

    def check_trees(self, known):
        """known: {chain: what its tree must hold}; chains not seen before are learnt."""
        for chain, path in self.trees.items():
            if chain.endswith(".erofs"):
                self._check_erofs(chain, path)
                continue
            found = trees.describe(path / "rootfs") if (path / "rootfs").is_dir() and (path / "tree.json").is_file() else None
            if found is None:
                self.complaints.append(f"tree {chain} is not complete")
            elif known.setdefault(chain, found) != found:
                self.complaints.append(f"tree {chain} differs: " + "; ".join(trees.differences(known[chain], found)[:3])[:300])

    def _check_erofs(self, name, path):
        note = self._json(path / "tree.json", f"tree {name}")
        if note is not None and note["erofs_digest"] != "sha256:" + hashlib.sha256((path / "rootfs").read_bytes()).hexdigest():
            self.complaints.append(f"tree {name} has other bytes than were noted")

    def leftovers(self):
        """What nothing refers to."""
        chains = {record["chain"] for record in self.images.values()}
        users = {p.parent.parent.name.split(".")[0] for p in self.top.glob("trees/*/users/*")}
        found = [str(p.relative_to(self.top)) for folder in ("tmp", "refs", "refs/images", "refs/names", "web", "partial", ".") for p in self._list(folder) if folder == "tmp" or p.name.startswith(".")]
        found += [f"blob {digest}" for digest in self.blobs if digest not in self.needed]
        return found + [str(p.relative_to(self.top)) for p in self._list("trees") if p.name.split(".")[0] not in chains | users]

    def meaning(self):
        """What the store holds, times left out."""
        names = sorted((name, json.loads(path.read_text())["image"]) for name, path in self.names.items())
        return {"names": names, "images": sorted(self.images), "blobs": sorted(self.needed), "trees": sorted(self.trees)}
