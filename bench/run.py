#!/usr/bin/python3
"""Start-up times and memory of coop and cooper beside crun, runc, podman, docker, systemd-nspawn and a floor program.

    bench/run.py [--quick] [--only NAME,...] [--json FILE] [--markdown FILE]

One run, interleaved rounds (every round runs each program once), medians. Back to back and with starts 0.3 s apart: bulk loops hide what a
single start waits for in the kernel. Needs root; works in mount and PID namespaces of its own, so that nothing is left behind.
"""

import argparse
import os
import pathlib
import platform
import shutil
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests/integration")]

from lib import isolate  # noqa: E402

import peers  # noqa: E402
import report  # noqa: E402
import scenarios  # noqa: E402


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a measurement")
    parser.add_argument("--only", metavar="NAME,...", default="", help=f"only these: {' '.join(scenarios.SCENARIOS)}")
    parser.add_argument("--json", metavar="FILE", help="write the results as JSON, too")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables, too (default build/bench/results.md)")
    parser.add_argument("--keep", action="store_true", help="leave the working directory behind")
    chosen = parser.parse_args()
    chosen.names = [n for n in chosen.only.split(",") if n] or list(scenarios.SCENARIOS)
    unknown = set(chosen.names) - set(scenarios.SCENARIOS)
    if unknown:
        parser.error(f"there is no measurement '{', '.join(sorted(unknown))}'")
    return chosen


def machine():
    """What the numbers depend on."""
    model = next((l.split(":")[1].strip() for l in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if l.startswith("model name")), "?")
    median, mode = peers.cgroup_lock_mode()
    return {
        "kernel": platform.release(),
        "processors": f"{os.cpu_count()} x {model}",
        "load": " ".join(f"{x:.2f}" for x in os.getloadavg()),
        "cgroup_lock_mode": mode,
        "cgroup_attach_median_ms": round(median, 3),
    }


def main():
    """Measure and print."""
    chosen = arguments()
    if os.geteuid() != 0:
        sys.exit("bench/run.py: containers need root here; run it as root")
    bin_dir = pathlib.Path(os.environ.get("COOPER_BIN_DIR", HERE.parent / "build/release/bin")).resolve()
    cache = pathlib.Path(os.environ.get("COOPER_BENCH_CACHE", HERE.parent / "build/bench")).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    isolate.enter()
    facts = machine()
    for key, value in facts.items():
        print(f"{key.replace('_', ' ')}: {value}", flush=True)
    work = pathlib.Path(tempfile.mkdtemp(prefix="work-", dir=cache))
    undo = peers.mount_hugetlb()
    rows = []
    bench = scenarios.Bench(work, cache, bin_dir, chosen.quick)
    try:
        for name in chosen.names:
            print(f"\n== {name}", flush=True)
            try:
                found = scenarios.SCENARIOS[name](bench)
            except (RuntimeError, AssertionError, OSError, StopIteration) as error:
                found = [report.Row(name, name, note=str(error) or type(error).__name__)]
            rows += found
            print(report.markdown(found), flush=True)
    finally:
        bench.close()
        undo()
        if not chosen.keep:
            isolate.remove_tree(work)
            shutil.rmtree(work, ignore_errors=True)
    finish(chosen, cache, facts, rows)


def finish(chosen, cache, facts, rows):
    """Files and verdicts."""
    lines = scenarios.verdicts(rows)
    for text, kept in lines:
        print(("kept:   " if kept else "MISSED: ") + text)
    head = "".join(f"- {key.replace('_', ' ')}: {value}\n" for key, value in facts.items())
    tail = "".join(f"- {'kept' if kept else 'missed'}: {text}\n" for text, kept in lines)
    target = pathlib.Path(chosen.markdown or cache / "results.md")
    target.write_text(f"{head}\n{report.markdown(rows)}\n{tail}", encoding="utf-8")
    if chosen.json:
        scenarios.dump(rows, chosen.json, facts)
    print(f"\nwritten: {target}")


if __name__ == "__main__":
    main()
