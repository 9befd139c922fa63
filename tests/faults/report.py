"""Verdicts as a table for people, and as JSON and JUnit for programs."""

import json
import pathlib
import xml.etree.ElementTree as tree

HEAD = ("runtime", "command", "cases", "killed", "failing", "missing", "not reached", "survived", "by itself", "after delete", "not survived")


def rows(results):
    """One row for each runtime and command, and a sum for each runtime."""
    out = []
    for kind, verdicts in results.items():
        if not verdicts:
            continue
        names = list(dict.fromkeys(v.scenario for v in verdicts))
        for name in names + ["all"]:
            of = [v for v in verdicts if name in ("all", v.scenario)]
            survived = [v for v in of if v.survived]
            deleted = sum(v.deleted for v in survived)
            kinds = [sum(v.fault.kind == k for v in of) for k in ("kill", "fail", "gone")]
            unreached = sum(not v.reached for v in of)
            out.append((kind, name, len(of), *kinds, unreached, len(survived), len(survived) - deleted, deleted, len(of) - len(survived)))
    return out


def table(results):
    """The rows in columns."""
    lines = [HEAD, *[tuple(map(str, row)) for row in rows(results)]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(c.ljust(w) if i < 2 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))).rstrip() for line in lines)


def junit(verdicts):
    """A test case for each fault of our own programs."""
    suite = tree.Element("testsuite", name="faults", tests=str(len(verdicts)), failures=str(sum(not v.survived for v in verdicts)))
    for verdict in verdicts:
        case = tree.SubElement(suite, "testcase", classname=f"faults.{verdict.scenario}", name=str(verdict.fault), time=f"{verdict.seconds:.3f}")
        if not verdict.survived:
            node = tree.SubElement(case, "failure", message=verdict.complaints[0][:200])
            node.text = "\n".join([*verdict.complaints, verdict.message]).encode("ascii", "backslashreplace").decode()
    root = tree.Element("testsuites")
    root.append(suite)
    return tree.ElementTree(root)


def write(results, folder):
    """Write faults.txt, faults.json and pytest.xml into the folder, if there is one; returns the table."""
    text = table(results)
    if folder:
        top = pathlib.Path(folder)
        top.mkdir(parents=True, exist_ok=True)
        (top / "faults.txt").write_text(text + "\n")
        keys = [word.replace(" ", "_") for word in HEAD]
        failed = [{"runtime": k, "case": v.name, "said": v.outcome, "complaints": v.complaints, "message": v.message} for k, vs in results.items() for v in vs if not v.survived]
        (top / "faults.json").write_text(json.dumps({"version": 1, "rows": [dict(zip(keys, row)) for row in rows(results)], "failed": failed}, indent=1))
        junit([v for kind, vs in results.items() if kind not in ("crun", "runc") for v in vs]).write(top / "pytest.xml", encoding="utf-8", xml_declaration=True)
    return text
