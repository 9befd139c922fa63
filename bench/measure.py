"""Compile the C helpers, run the harness, and reduce its samples."""

import dataclasses
import hashlib
import os
import pathlib
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent


@dataclasses.dataclass
class Job:
    """One thing to time. argv may hold ';' between commands that count as one, and '%n' for a fresh number."""

    name: str
    argv: list

    def line(self):
        """The harness's input line."""
        words = [str(w) for w in self.argv]
        assert not any("\t" in w or "\n" in w for w in words)
        return "\t".join([self.name, *words])


@dataclasses.dataclass
class Series:
    """All samples of one job."""

    ms: list = dataclasses.field(default_factory=list)
    rss_kib: list = dataclasses.field(default_factory=list)

    @property
    def median_ms(self):
        """Middle of the wall times."""
        return statistics.median(self.ms)

    @property
    def p95_ms(self):
        """95th percentile of the wall times."""
        return sorted(self.ms)[min(len(self.ms) - 1, int(len(self.ms) * 0.95))]

    @property
    def peak_kib(self):
        """Middle of the largest resident sets."""
        return statistics.median(self.rss_kib)


def compiled(name, folder, *flags):
    """Path of bench/NAME.c, compiled once for each content."""
    source = HERE / f"{name}.c"
    key = hashlib.sha256(source.read_bytes() + repr(flags).encode()).hexdigest()[:12]
    target = pathlib.Path(folder) / f"{name}-{key}"
    if not target.exists():
        subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", *flags, "-o", f"{target}.new", source], check=True)
        os.rename(f"{target}.new", target)
    return target


class Harness:
    """Interleaved rounds of jobs."""

    def __init__(self, folder, environ=None):
        self.program = compiled("harness", folder)
        self.environ = environ or dict(os.environ)

    def run(self, jobs, rounds, warmup=2, spacing_ms=0, timeout=3600):
        """{name: Series}. A job that fails once is left out, and the reason returned under it as a string."""
        failed = {}
        jobs = list(jobs)
        for job in list(jobs):
            problem = self._attempt([job], 1, 0, 0, 120)[1]
            if problem:
                failed[job.name] = problem
                jobs.remove(job)
        if not jobs:
            return failed
        series, problem = self._attempt(jobs, rounds, warmup, spacing_ms, timeout)
        if problem:
            raise RuntimeError(problem)
        return {**series, **failed}

    def run_once(self, job, timeout=900):
        """One cold run: its Series, or why it failed."""
        series, problem = self._attempt([job], 1, 0, 0, timeout)
        return problem or series[job.name]

    def _attempt(self, jobs, rounds, warmup, spacing_ms, timeout):
        text = "".join(job.line() + "\n" for job in jobs)
        done = subprocess.run(
            [self.program, str(rounds), str(warmup), str(spacing_ms)], input=text, capture_output=True, text=True, env=self.environ, timeout=timeout, errors="replace"
        )
        if done.returncode != 0:
            return {}, done.stderr.strip()[-400:] or f"harness ended with {done.returncode}"
        series = {job.name: Series() for job in jobs}
        for line in done.stdout.splitlines():
            name, _, ns, rss, _ = line.split("\t")
            series[name].ms.append(int(ns) / 1e6)
            series[name].rss_kib.append(int(rss))
        return series, ""


def private_kib(pid):
    """Memory that only this process has."""
    total = 0
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:")):
            total += int(line.split()[1])
    return total
