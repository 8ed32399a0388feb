# SPDX-License-Identifier: Apache-2.0
"""Which of the build's tests a filter means, and what must be built for them: so that one case does not cost the build of all."""
import ast
import json
import pathlib
import re

from common import BUILD, run

CASE = re.compile(r'\bTEST_CASE\(\s*((?:"(?:[^"\\\n]|\\.)*"\s*)+)')


def selected(name, filters):
    return not filters or any(f in name for f in filters)


def chosen(filters):
    """[(test, names of its Catch2 cases, or None: all)]"""
    tests = _introspect("--tests")
    if not filters:
        return [(test, None) for test in tests]
    by_id = {target["id"]: target for target in _introspect("--targets")}
    found = []
    for test in tests:
        cases = [case for wanted in test["depends"] if by_id[wanted]["filename"][0] == test["cmd"][0] for case in _cases(by_id[wanted])]
        wanted = [case for case in cases if selected(f"{test['name']}: {case}", filters)]
        if wanted or selected(test["name"], filters):
            found.append((test, wanted if len(wanted) < len(cases) else None))
    return found


def targets(chosen):
    """The files to build for these tests; None: all there is, for those that look at the whole build."""
    if any(str(BUILD) in test["cmd"] for test, _ in chosen):
        return None
    wanted = {name for test, _ in chosen for name in test["depends"]}
    files = [file for target in _introspect("--targets") if target["id"] in wanted for file in target["filename"]]
    return sorted(str(pathlib.Path(file).relative_to(BUILD)) for file in files)


def system_programs():
    """The files that system tests put into their machines: programs and manifests of test/attack, test/guests and test/system."""
    homes = [BUILD / "test" / home for home in ("attack", "guests", "system")]
    files = [pathlib.Path(file) for target in _introspect("--targets") for file in target["filename"]]
    return sorted(str(file.relative_to(BUILD)) for file in files if any(file.is_relative_to(home) for home in homes))


def catch2_filter(names):
    """Catch2's argument for these cases."""
    return ",".join(re.sub(r'([\\,\[\]"])', r"\\\1", name) for name in names)


def _cases(target):
    return cases_of("".join(pathlib.Path(file).read_text() for group in target["target_sources"] for file in group.get("sources", ()) if file.endswith("_test.cpp")))


def cases_of(source):
    """The names of the Catch2 cases of a C++ file."""
    return ["".join(ast.literal_eval(piece) for piece in re.findall(r'"(?:[^"\\\n]|\\.)*"', found)) for found in CASE.findall(source)]


def _introspect(what):
    return json.loads(run(["meson", "introspect", what, BUILD], f"asking the build ({what})"))
