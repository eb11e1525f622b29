"""`fleetos validate`: what it says of a plan without a cloud, and that `plan` and `apply` say it again."""

import json
from pathlib import Path

from tests.cli.runner import SharedCloudRunner


def test_servers_and_selectors_are_counted_apart(runner: SharedCloudRunner) -> None:
    head = "version: 1\nname: x\nchange: {image: a}\nservers:\n"
    entry = '  - select: {name: "*"}\n'
    for text, words in (
        (entry + entry.replace("*", "a"), "plan x, 2 selectors"),
        ("  - name: a\n" + entry, "plan x, 1 server and 1 selector"),
        ("  - name: a\n", "plan x, 1 server"),
    ):
        done = runner.invoke("validate", runner.plan(head + text))
        assert (done.returncode, done.stdout.strip().endswith(words)) == (0, True), done.stdout


def test_user_data_that_is_not_read_is_told_before_a_disk_is_wiped(runner: SharedCloudRunner) -> None:
    (name,) = runner.take(1)
    text = runner.write_plan([name])
    path = Path(text)
    path.write_text(
        path.read_text(encoding="utf-8").replace("keyname:", "user_data: {file: data}\n  keyname:"), encoding="utf-8"
    )
    data = path.with_name("data")
    data.write_bytes(b"#!/bin/sh\r\necho\r\n")
    words = f"{data} is a script with CR LF line ends, which Linux cannot run (save it with LF line ends)"
    valid = runner.invoke("validate", text)
    assert (valid.returncode, f": change.user_data: {words}" in valid.stderr) == (0, True), valid.stderr
    (warning,) = json.loads(runner.invoke("validate", text, "-o", "json").stdout)["warnings"]
    assert warning["key"] == "change.user_data"
    told = json.loads(runner.invoke("plan", text, "-o", "json").stdout)
    assert [one["code"] for one in told["findings"]] == ["user-data"]
    asked = runner.invoke("apply", text)
    assert f"warning: change.user_data: {words}" in asked.stderr
    data.write_bytes(b"\xef\xbb\xbf#!/bin/sh\n")
    refused = runner.invoke("apply", text, "--yes")
    assert (refused.returncode, "byte order mark" in refused.stderr) == (65, True)
    assert runner.changes([name]) == {name: 0}
