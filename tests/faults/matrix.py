#!/usr/bin/python3
"""Break every system call of the runtime, one at a time, and see what it leaves.

    matrix.py [--sample N] [--only NAME]... [--kinds kill,fail,gone] [--case NAME/FAULT]... [--peers] [--results DIR]

See README.md beside this file.
"""

import argparse
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration")]

import cases  # noqa: E402
import engine  # noqa: E402
import image_forms  # noqa: E402
import images  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402
import stage as stages  # noqa: E402
from lib import cgroups, isolate, paths  # noqa: E402

OWN = ("coop", "cooper", "images")  # our programs; of the last, the verbs that keep images
SHARE = {"cooper": 5, "images": 8}  # their part of a sample is so many times smaller
PREFIX = f"coopit{os.getpid()}x"  # before the session enters its own PID namespace; as the integration tests name theirs


IMAGES = images.ALL | image_forms.ALL
NAMES = [*scenarios.ALL, *engine.ALL, *IMAGES]


class CannotLearn(Exception):
    """A command fails without a fault."""


@dataclasses.dataclass
class Verdict:
    """What became of one case."""

    scenario: str
    fault: cases.Fault
    reached: bool
    outcome: str  # success, failure, killed
    deleted: bool  # delete --force was needed
    complaints: list
    message: str
    seconds: float

    @property
    def name(self):
        """How the case is called on the command line."""
        return f"{self.scenario}/{self.fault}"

    @property
    def survived(self):
        """Nothing to complain about."""
        return not self.complaints


def judge_failure(scenario, outcome, fault):
    """Complaints about how a failure is told."""
    if outcome.rc not in scenario.failure + scenario.payload_status:
        return [f"exit status {outcome.rc} is not documented"]
    if outcome.rc in scenario.payload_status and not outcome.errors:
        return [] if fault.kind == "kill" else [f"exit status {outcome.rc} without an error"]
    if len(outcome.errors) not in scenario.records:
        return [f"{len(outcome.errors)} error records instead of one sentence: {outcome.err.strip()[:400]!r}"]
    return []


def judge(stage, scenario, outcome, fault, baseline):
    """(what the command says of itself, complaints)."""
    if outcome.hung:
        return "hung", [f"no end within {stages.LIMIT:g} s"]
    # The command itself, or a thread of it: of ours only the verbs of images have some.
    if outcome.rc == 137 and fault.kind == "kill" and (fault.process == 0 or stage.kind in ("runc", "images")):
        return "killed", []
    if outcome.rc not in scenario.success:
        return "failure", judge_failure(scenario, outcome, fault)
    if fault.kind == "kill":
        # Its init died just before the program, as it may die in the program.
        return "success", []
    return "success", scenario.judge(stage, outcome, baseline)


def clean_up(stage, scenario):
    """(was delete needed, complaints): what a user does after a failure."""
    if hasattr(scenario, "clean_up"):
        return scenario.clean_up(stage)
    complaints = []
    needed = stage.exists()
    if needed:
        if stage.kind == "coop" and stage.run("list").rc != 0:
            complaints.append("list fails")
        done = stage.run("delete", "--force", stage.id)
        if done.rc != 0 or done.hung:
            complaints.append(f"delete --force: exit status {done.rc}: {done.err.strip()[:300]}")
    left = stage.leaks()
    if left:
        complaints.append("left behind: " + ", ".join(left[:8]))
    return needed, complaints


def run_case(stage, scenario, fault, baseline):
    """One fault in one command."""
    start = time.monotonic()
    scenario.prepare(stage)
    outcome = stage.inject(fault.options(), scenario.argv(stage), scenario.attach(stage))
    said, complaints = judge(stage, scenario, outcome, fault, baseline)
    complaints += scenario.after(stage, outcome, fault)
    needed, more = clean_up(stage, scenario)
    complaints += more
    if complaints:
        stage.wipe()
    stage.forget_outputs()
    return Verdict(scenario.name, fault, outcome.injected, said, needed, complaints, outcome.err.strip(), time.monotonic() - start)


def learn(stage, scenario):
    """(system calls, facts) of the command without a fault; twice, the first makes mount points."""
    for _ in range(2):
        stage.save(scenario.config(stage))
        scenario.prepare(stage)
        outcome = stage.inject(["--trace"], scenario.argv(stage), scenario.attach(stage))
        if outcome.rc not in scenario.success or outcome.hung:
            raise CannotLearn(f"{scenario.name} fails without a fault: {outcome.rc} {outcome.err}")
        facts = scenario.facts(stage, outcome)
        if stage.exists():
            stage.run("delete", "--force", stage.id)
        stage.forget_outputs()
        if stage.before is None:
            stage.before = stage.snapshot()
        stage.before.files = stage.snapshot().files
    return outcome.calls, facts


def asked_for(options, known):
    """{name of a command: faults named on the command line} of those commands that are meant."""
    named = {}
    for text in options.case:
        name, _, fault = text.partition("/")
        named.setdefault(name, []).append(cases.Fault.parse(fault))
    return {name: named.get(name, []) for name in known if name in (named or options.only or known)}


def plan(stage, options, known):
    """[(scenario, fault, baseline)] of everything asked for."""
    found = []
    kinds = ["kill"] if known is engine.ALL else options.kinds.split(",")
    for name, faults in asked_for(options, known).items():
        scenario = known[name]()
        try:
            calls, baseline = learn(stage, scenario)
        except CannotLearn as reason:
            if stage.kind in OWN:
                raise SystemExit(str(reason)) from None
            print(f"{stage.kind}: {name} is left out: {reason}", flush=True)
            stage.wipe()
            continue
        found += [(scenario, fault, baseline) for fault in faults or scenario.faults(calls, kinds)]
    sample = options.sample and options.sample // SHARE.get(stage.kind, 1)
    return cases.spread(found, sample)


def run_runtime(kind, binary, top, options):
    """All cases of one runtime, or of the engine; returns the verdicts."""
    prefix = PREFIX + kind
    known, make = {"cooper": (engine.ALL, engine.EngineStage), "images": (IMAGES, images.ImageStage)}.get(kind, (scenarios.ALL, stages.Stage))
    if not asked_for(options, known):
        return []
    stage = make(binary, kind, top / kind, prefix, paths.cache_dir())
    verdicts = []
    try:
        todo = plan(stage, options, known)
        print(f"{kind}: {len(todo)} cases", flush=True)
        current = None
        for scenario, fault, baseline in todo:
            if scenario is not current:
                stage.save(scenario.config(stage))
                current = scenario
            verdict = run_case(stage, scenario, fault, baseline)
            verdicts.append(verdict)
            if not verdict.survived or options.verbose:
                print(f"{'ok' if verdict.survived else 'FAIL'} {kind} {verdict.name}: {verdict.outcome}: {'; '.join(verdict.complaints)} [{verdict.message[:300]}]", flush=True)
            if verdict.complaints and sum(not v.survived for v in verdicts) > options.max_failures:
                print(f"{kind}: more than {options.max_failures} cases failed, the rest is not tried", flush=True)
                break
    finally:
        stage.end()
        cgroups.remove([folder for root in cgroups.roots() for folder, _, _ in os.walk(root / prefix)])
    return verdicts


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev test faults", description="Break every system call of the runtime, one at a time.")
    parser.add_argument("--sample", type=int, metavar="N", help="only N cases, evenly spread over all")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", choices=NAMES, help="only this command: " + ", ".join(NAMES))
    parser.add_argument("--kinds", default="kill,fail,gone", help="kinds of faults (default: %(default)s)")
    parser.add_argument("--case", action="append", default=[], metavar="NAME/FAULT", help="one case, as a report names it")
    parser.add_argument("--peers", action="store_true", help="the same for crun and runc")
    parser.add_argument("--results", default=None, metavar="DIR", help="where faults.json, faults.txt and pytest.xml go")
    parser.add_argument("--max-failures", type=int, default=200, metavar="N", help="stop a runtime after so many (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="a line for every case")
    options = parser.parse_args()
    return options


def main():
    options = parse()
    if os.geteuid() != 0:
        raise SystemExit("the fault matrix must run as root")
    runtimes = {name: paths.bin_dir() / ("coop" if name == "coop" else "cooper") for name in OWN}
    if options.peers:
        runtimes |= {name: found for name in ("crun", "runc") if (found := shutil.which(name))}
    isolate.enter(["hugetlb"] if options.peers else [])
    top = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX, dir="/tmp"))
    isolate.in_memory(top)
    top.chmod(0o755)
    try:
        results = {kind: run_runtime(kind, binary, top, options) for kind, binary in runtimes.items()}
    finally:
        isolate.remove_tree(top)
    print(report.write(results, options.results))
    sys.exit(0 if all(v.survived for name in OWN for v in results[name]) else 1)


if __name__ == "__main__":
    main()
