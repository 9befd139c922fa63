"""The count that closes a test run must be right for every way a runner can end."""

import pathlib
import subprocess

TOOL = pathlib.Path(__file__).resolve().parents[1] / "count-results"


def suite(root, name, status, **files):
    directory = root / name
    directory.mkdir()
    (directory / "status").write_text(f"{status}\n")
    for file, text in files.items():
        (directory / f"{file}.xml").write_text(text)


def ctest(*cases):
    return "<testsuite>" + "".join(f'<testcase name="{n}" classname="{n}" status="{s}"/>' for n, s in cases) + "</testsuite>"


def gtest(*cases):
    inside = {"pass": "", "fail": '<failure message="x"/>', "skip": '<skipped message="x"/>'}
    return "<testsuites><testsuite>" + "".join(f'<testcase name="{n}" classname="S">{inside[s]}</testcase>' for n, s in cases) + "</testsuite></testsuites>"


def count(root, *suites):
    done = subprocess.run([TOOL, root, *suites], capture_output=True, text=True)
    return done.stdout.splitlines()[-1], done.returncode


def test_sums_both_kinds(tmp_path):
    suite(tmp_path, "unit", 0, ctest=ctest(("base", "run")), base_test=gtest(("a", "pass"), ("b", "pass"), ("c", "skip")))
    suite(tmp_path, "integration", 0, pytest=gtest(("x", "pass"), ("y", "skip")))
    assert count(tmp_path, "ctest:unit", "pytest:integration") == ("3 passed, 0 failed, 2 skipped", 0)


def test_failures_fail(tmp_path):
    suite(tmp_path, "unit", 8, ctest=ctest(("base", "fail")), base_test=gtest(("a", "pass"), ("b", "fail")))
    assert count(tmp_path, "ctest:unit") == ("1 passed, 1 failed, 0 skipped", 1)


def test_a_program_that_crashed_is_a_failure(tmp_path):
    suite(tmp_path, "unit", 8, ctest=ctest(("base", "fail"), ("sys", "run")), sys_test=gtest(("a", "pass")))
    assert count(tmp_path, "ctest:unit") == ("1 passed, 1 failed, 0 skipped", 1)


def test_a_program_that_died_after_its_last_case_is_a_failure(tmp_path):
    suite(tmp_path, "unit", 8, ctest=ctest(("base", "fail")), base_test=gtest(("a", "pass")))
    assert count(tmp_path, "ctest:unit") == ("1 passed, 1 failed, 0 skipped", 1)


def test_a_runner_that_wrote_nothing_is_a_failure(tmp_path):
    suite(tmp_path, "unit", 1)
    suite(tmp_path, "integration", 2)
    assert count(tmp_path, "ctest:unit", "pytest:integration") == ("0 passed, 2 failed, 0 skipped", 1)


def test_a_damaged_file_is_a_failure(tmp_path):
    suite(tmp_path, "integration", 0, pytest="<testsuites><testcase")
    assert count(tmp_path, "pytest:integration") == ("0 passed, 1 failed, 0 skipped", 1)


def test_a_bad_status_without_a_failed_case_is_a_failure(tmp_path):
    suite(tmp_path, "integration", 3, pytest=gtest(("x", "pass")))
    assert count(tmp_path, "pytest:integration") == ("1 passed, 1 failed, 0 skipped", 1)


def test_nothing_run_is_a_failure(tmp_path):
    suite(tmp_path, "integration", 0, pytest=gtest(("x", "skip")))
    assert count(tmp_path, "pytest:integration") == ("0 passed, 1 failed, 1 skipped", 1)


def test_an_error_in_teardown_counts_once(tmp_path):
    twice = '<testsuite><testcase classname="S" name="x"/><testcase classname="S" name="x"><error/></testcase></testsuite>'
    suite(tmp_path, "integration", 1, pytest=twice)
    assert count(tmp_path, "pytest:integration") == ("0 passed, 1 failed, 0 skipped", 1)
