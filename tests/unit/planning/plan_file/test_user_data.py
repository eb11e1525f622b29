"""User data that cloud-init would not read: refused, or warned of, before a disk is wiped."""

import base64
import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetos.planning.plan_file.user_data import user_data_doubts, user_data_fault
from tests.unit.planning.plan_folder import HEAD, PlanFolder

CONFIG = b"#cloud-config\nruncmd:\n  - touch /ok\n"
MIME = b'Content-Type: multipart/mixed; boundary="x"\nMIME-Version: 1.0\n\n--x\n'


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf" + CONFIG, "byte order mark"),
        (CONFIG.decode().encode("utf-16"), "UTF-16"),
        (CONFIG.decode().encode("utf-16-be"), "NUL"),
        (CONFIG.decode().encode("utf-32"), "UTF-32"),
        (CONFIG + b"\0", "NUL"),
        (b"", "empty"),
        (b" \r\n\t\n", "empty"),
    ],
)
def test_what_nothing_could_read_is_refused(data: bytes, words: str) -> None:
    fault = user_data_fault(data)
    assert fault is not None
    assert words in fault[0]


@pytest.mark.parametrize(
    "data",
    [
        CONFIG,
        CONFIG.replace(b"\n", b"\r\n"),
        b"#Cloud-Config\na: 1\n",
        b"#!/bin/sh\necho\n",
        b"#include\nhttps://x\n",
        b"#include-once\nhttps://x\n",
        b"#cloud-boothook\necho\n",
        b"#cloud-config-archive\n- a\n",
        b"#part-handler\nx\n",
        b"#upstart-job\nx\n",
        b"## template: jinja\n#cloud-config\na: {{ v1.region }}\n",
        MIME,
        b"MIME-Version: 1.0\nContent-Type: text/x\n\n",
        gzip.compress(CONFIG, mtime=0),
        b"#ps1_sysnative\r\nx\r\n",
        b"<powershell>\r\nx\r\n</powershell>\r\n",
        b"rem cmd\r\necho\r\n",
    ],
)
def test_what_cloud_init_knows_is_left_alone(data: bytes) -> None:
    assert user_data_fault(data) is None
    assert list(user_data_doubts(data)) == []


@pytest.mark.parametrize(
    ("data", "words", "hint"),
    [
        (b"cloud-config\nruncmd: []\n", "does not know", "did you mean `#cloud-config`?"),
        (b"# cloud-config\nruncmd: []\n", "does not know", "did you mean `#cloud-config`?"),
        (b"#cloudconfig\na: 1\n", "does not know", "did you mean `#cloud-config`?"),
        (b"echo hello\n", "does not know", "#!/bin/sh"),
        (b"Content-Type: text/cloud-config\n\na: 1\n", "does not know", "begin it"),
        (b"## template: jinja\necho\n", "does not know", "begin it"),
        (base64.b64encode(CONFIG), "base64 already", "before base64"),
        (base64.encodebytes(b"#!/bin/sh\n" * 20), "base64 already", "before base64"),
        (b"#!/bin/bash\r\necho hi\r\n", "CR LF", "with LF"),
        (b"\n" + CONFIG, "begins with a blank", "remove"),
        (b"  #!/bin/sh\n", "begins with a blank", "remove"),
        (b"#cloud-config\n- a\n", "no mapping", "cloud-init schema"),
        (b"#cloud-config\nruncmd\n", "no mapping", "cloud-init schema"),
        (b"#cloud-config\na: [\n", "not valid YAML", "cloud-init schema"),
        (b"#cloud-config\n# nothing\n", "nothing in it", "add its keys"),
        (b"#!/bin/sh\necho \xfc\n", "not UTF-8", "as UTF-8"),
    ],
)
def test_what_cloud_init_would_not_read_as_it_is_meant_is_told(data: bytes, words: str, hint: str) -> None:
    assert user_data_fault(data) is None
    ((text, told),) = user_data_doubts(data)
    assert words in text
    assert hint in told


@given(
    st.binary(max_size=200)
    | st.text(max_size=80).map(lambda text: b"#cloud-config\n" + text.encode("utf-8", "replace"))
)
def test_any_bytes_are_judged_and_never_quoted(data: bytes) -> None:
    told = [*user_data_doubts(data), *filter(None, [user_data_fault(data)])]
    assert all(len(text) + len(hint) < 200 for text, hint in told)


def test_deep_user_data_takes_no_time() -> None:
    assert list(user_data_doubts(b"#cloud-config\n" + b"[" * 30_000)) != []


def test_a_plan_refuses_and_warns_at_the_key(plans: PlanFolder) -> None:
    head = HEAD.replace("keyname: key", "user_data: {file: data}")
    problem = plans.problem(head + "servers: [{name: a}]\n", {"data": b"\xff\xfe#\0"})
    assert (problem.line, problem.key) == (3, "change.user_data")
    assert problem.text == f"{plans.folder / 'data'} is UTF-16 or UTF-32, which cloud-init does not read"
    own = 'servers: [{name: a, change: {user_data: {text: "echo"}}}, {name: b, change: {user_data: {text: "echo"}}}]\n'
    plan = plans.plan(head + own, {"data": CONFIG})
    (doubt,) = plan.doubts
    assert (doubt.line, doubt.key) == (4, "servers[0].change.user_data")
    assert doubt.text.startswith("the text begins with a line that cloud-init does not know")
    assert plan.digest == plans.plan(head + own, {"data": CONFIG}).digest
